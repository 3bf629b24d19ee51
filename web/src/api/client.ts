/** The one way from the page to the API: typed by its own description, and refusals as `Refusal`. */

import createClient from "openapi-fetch";
import { at } from "../prefix";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];

export const api = createClient<paths>({ baseUrl: at("/").slice(0, -1) });

/** What the API, or the network, has said no with. */
export class Refusal extends Error {
  constructor(
    readonly code: string,
    /** The API's own sentence, in English. */
    readonly detail: string,
    readonly status = 0,
    readonly retryAfterSeconds?: number,
    readonly fields: string[] = [],
  ) {
    super(detail);
  }
}

let whenSignedOut = () => {};

/** What to do when the API no longer knows who asks. */
export function onSignedOut(act: () => void) {
  whenSignedOut = act;
}

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The answer's data; a refusal is thrown. */
export async function ask<T>(request: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await request;
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    throw new Refusal("NETWORK", "The service can't be reached.");
  }
  if (!answer.response.ok) throw refusalOf(answer.response, answer.error);
  return answer.data as T;
}

interface Problem {
  code?: string;
  detail?: string;
  errors?: { loc: (string | number)[] }[];
}

function refusalOf(response: Response, body: unknown): Refusal {
  const problem = (typeof body === "object" && body !== null ? body : {}) as Problem;
  const code = problem.code ?? (response.status >= 500 ? "UNAVAILABLE" : "INVALID");
  if (code === "UNAUTHENTICATED" || code === "BAD_TOKEN") whenSignedOut();
  const wait = Number(response.headers.get("Retry-After"));
  const fields = (problem.errors ?? []).map((field) => String(field.loc.at(-1)));
  return new Refusal(code, problem.detail ?? response.statusText, response.status, wait || undefined, fields);
}
