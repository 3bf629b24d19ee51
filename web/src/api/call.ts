/** A call whose answer the caller describes: for a few routes that only forms and tables of the page need. */

import { ask } from "./client";

export function call<T = unknown>(
  method: "GET" | "POST" | "PATCH" | "DELETE",
  path: string,
  body?: unknown,
): Promise<T> {
  const headers = { "Content-Type": "application/json" };
  const request = fetch(
    path,
    body === undefined ? { method } : { method, headers, body: JSON.stringify(body) },
  );
  return ask<T>(
    request.then(async (response) => {
      const answer = (await response.json().catch(() => undefined)) as unknown;
      return response.ok ? { response, data: answer as T } : { response, error: answer };
    }),
  );
}
