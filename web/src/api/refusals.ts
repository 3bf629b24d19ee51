/** A refusal as a sentence for the reader. */

import { duration } from "../i18n/format";
import { find, t } from "../i18n/index.svelte";
import { Refusal } from "./client";

export function sentence(error: unknown): string {
  if (!(error instanceof Refusal)) return t("problem.INTERNAL");
  const said = find("problem", error.code) ?? error.detail;
  return error.retryAfterSeconds
    ? `${said} ${t("problem.wait", { time: duration(error.retryAfterSeconds) })}`
    : said;
}
