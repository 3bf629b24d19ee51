/** Taking frames along: some of them as an archive, or all of them by a link. */

import { api, ask, Refusal } from "../api/client";
import { sentence } from "../api/refusals";
import { at } from "../prefix";
import { dateTime } from "../i18n/format";
import { t } from "../i18n/index.svelte";
import { notices } from "../shell/notices.svelte";
import { copy } from "../ui/clipboard";

/** How many the API packs at once. */
export const MOST_SELECTED = 20_000;

export async function downloadSelection(extractionId: string, sequences: number[], name: string) {
  const params = { path: { extraction_id: extractionId } };
  try {
    const request = api.POST("/extractions/{extraction_id}/selection", {
      params,
      body: { sequences },
      parseAs: "blob",
    });
    save((await ask(request)) as unknown as Blob, name);
  } catch (error) {
    tell(error);
  }
}

/** All frames, which are an archive already. */
export function downloadAll(extractionId: string) {
  const link = document.createElement("a");
  link.href = at(`/extractions/${extractionId}/download`);
  link.download = "";
  link.click();
}

export async function copyLink(extractionId: string) {
  const params = { path: { extraction_id: extractionId } };
  try {
    const link = await ask(api.GET("/extractions/{extraction_id}/download-url", { params }));
    await copy(new URL(link.url, location.href).href);
    notices.tell(t("link.copied", { until: dateTime(link.expires_at) }));
  } catch (error) {
    tell(error);
  }
}

function save(blob: Blob, name: string) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function tell(error: unknown) {
  notices.tell(error instanceof Refusal ? sentence(error) : t("problem.INTERNAL"), { isBad: true });
}
