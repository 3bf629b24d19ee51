/** What the links in mails are for. */

import { ask } from "../api/client";

export function post(path: string, body: unknown): Promise<unknown> {
  const request = {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  return ask(
    fetch(path, request).then(async (response) => ({
      response,
      error: response.ok ? undefined : ((await response.json().catch(() => undefined)) as unknown),
    })),
  );
}
