/** How people may sign in here; asked once. */

import { api, ask } from "../api/client";

let answer: ReturnType<typeof read> | undefined;

const read = () => ask(api.GET("/auth/methods"));

export function methods() {
  answer ??= read().catch((error: unknown) => {
    answer = undefined;
    throw error;
  });
  return answer;
}

/** What a mail's link carries behind the `#`, which no server ever sees; taken out of the address at once. */
export function takeFromFragment(name: string): string | undefined {
  const value = new URLSearchParams(location.hash.slice(1)).get(name) ?? undefined;
  if (value) history.replaceState(null, "", location.pathname + location.search);
  return value;
}
