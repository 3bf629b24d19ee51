/** What can be done with a video, and is told when it can't. */

import { api, ask } from "../api/client";
import { sentence } from "../api/refusals";
import { at } from "../prefix";
import { t } from "../i18n/index.svelte";
import { tidy } from "../plan/plan";
import type { PlanJson } from "../plan/plan";
import { notices } from "../shell/notices.svelte";
import { feed } from "./feed.svelte";
import type { Video } from "./feed.svelte";
import { hidden } from "./list.svelte";

const UNDO_MS = 6000;

async function tried<T>(action: () => Promise<T>): Promise<T | undefined> {
  try {
    return await action();
  } catch (error) {
    notices.tell(sentence(error), { isBad: true });
    return undefined;
  }
}

/** Another extraction; its id, if it was taken. */
export async function extract(videoId: string, plan: PlanJson): Promise<string | undefined> {
  const params = { path: { video_id: videoId } };
  const extraction = await tried(() =>
    ask(api.POST("/videos/{video_id}/extractions", { params, body: tidy(plan) })),
  );
  if (extraction) void feed.load(videoId).catch(() => undefined);
  return extraction?.id;
}

export async function cancel(extractionId: string) {
  const params = { path: { extraction_id: extractionId } };
  const isDone = await tried(() => ask(api.POST("/extractions/{extraction_id}/cancel", { params })));
  if (isDone) notices.tell(t("video.cancelled"));
}

const withdrawing = new Map<string, ReturnType<typeof setTimeout>>();

/** Deleted in a few seconds; until then nothing has happened. */
export function remove(video: Video) {
  hidden.add(video.id);
  const closeNotice = notices.tell(t("video.deleted", { name: video.filename }), {
    forMs: UNDO_MS,
    action: {
      label: t("video.undo"),
      act: () => {
        clearTimeout(withdrawing.get(video.id));
        withdrawing.delete(video.id);
        hidden.delete(video.id);
      },
    },
  });
  const timer = setTimeout(() => {
    closeNotice();
    void withdraw(video.id);
  }, UNDO_MS);
  withdrawing.set(video.id, timer);
}

async function withdraw(id: string) {
  withdrawing.delete(id);
  const params = { path: { video_id: id } };
  try {
    await ask(api.DELETE("/videos/{video_id}", { params }));
    feed.videos.delete(id);
  } catch (error) {
    notices.tell(sentence(error), { isBad: true });
    hidden.delete(id);
  }
}

/** Whoever closes the page has not taken it back. */
addEventListener("pagehide", () => {
  for (const [id, timer] of withdrawing) {
    clearTimeout(timer);
    void fetch(at(`/videos/${id}`), { method: "DELETE", keepalive: true });
  }
});
