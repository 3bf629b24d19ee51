/** One extraction and its video, as they change. */

import { api, ask } from "../api/client";
import type { Schemas } from "../api/client";
import { sentence } from "../api/refusals";
import { feed } from "../videos/feed.svelte";
import { Rows } from "./rows.svelte";

const POLL_MS = 2000;

export class Following {
  extraction = $state.raw<Schemas["ExtractionView"]>();
  wrong = $state("");
  readonly rows: Rows;

  video = $derived(this.extraction && feed.videos.get(this.extraction.video_id));
  /** What the feed tells of the newest extraction is newer than what was asked for. */
  now = $derived.by(() => {
    const { extraction, video } = this;
    if (!extraction || video?.extraction_id !== extraction.id || video.status === "READY") return extraction;
    const { status, progress, error, frames, archive_bytes } = video;
    return {
      ...extraction,
      status,
      progress,
      error,
      frames: frames ?? null,
      archive_bytes: archive_bytes ?? null,
    };
  });
  isRunning = $derived(this.now?.status === "PENDING" || this.now?.status === "PROCESSING");

  constructor(private id: string) {
    this.rows = new Rows(id);
  }

  async load() {
    try {
      const params = { path: { extraction_id: this.id } };
      this.extraction = await ask(api.GET("/extractions/{extraction_id}", { params }));
      if (!feed.videos.has(this.extraction.video_id)) await feed.load(this.extraction.video_id);
      await this.refresh();
    } catch (error) {
      this.wrong = sentence(error);
    }
  }

  /** Asks for new frames until there will be no more. */
  follow() {
    const timer = setInterval(() => void this.refresh(), POLL_MS);
    return () => clearInterval(timer);
  }

  private async refresh() {
    const status = this.now?.status;
    if (!status || status === "FAILED" || status === "CANCELLED") return;
    // While it runs there may be none yet, which is no failure.
    await this.rows.refresh().catch(() => undefined);
  }
}
