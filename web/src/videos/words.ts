/** What a video is and how far it has come, in few words. */

import { bytes, duration, length, number } from "../i18n/format";
import { find, t } from "../i18n/index.svelte";
import type { Video } from "./feed.svelte";
import { mediaOf } from "./media";

export function facts(video: Pick<Video, "media" | "bytes">): string {
  const media = mediaOf(video.media);
  const parts = media ? [length(media.duration_seconds), `${media.shownWidth} × ${media.shownHeight}`] : [];
  return [...parts, ...(video.bytes ? [bytes(video.bytes)] : [])].join(" · ");
}

type Ran = Pick<Video, "status" | "progress" | "error">;

export function whyFailed(error: Ran["error"]): string {
  return error ? (find("failure", error.code) ?? error.message) : "";
}

export function progressWords({ status, progress }: Ran): string {
  if (status === "PENDING") return t("progress.pending");
  if (progress.frames_total === null) return t("progress.looking");
  const done = t("progress.frames", { done: number(progress.frames_done), n: progress.frames_total });
  if (progress.seconds_left === null) return done;
  return `${done} · ${t("progress.left", { time: duration(Math.max(1, progress.seconds_left)) })}`;
}

export function warningWords(warnings: Video["warnings"]): string[] {
  return warnings.map(({ code, detail }) => find("warning", code) ?? detail);
}
