/** What a plan would give of a video, asked anew a moment after it was changed. */

import { api, ask, Refusal } from "../api/client";
import type { Schemas } from "../api/client";
import { sentence } from "../api/refusals";
import { tidy } from "./plan";
import type { PlanJson } from "./plan";

const TYPING_MS = 200;

export class Estimating {
  estimate = $state.raw<Schemas["EstimateView"]>();
  wrong = $state("");
  private waiting?: ReturnType<typeof setTimeout>;
  private running?: AbortController;

  ask(videoId: string, plan: PlanJson) {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => void this.now(videoId, tidy(plan)), TYPING_MS);
    return () => clearTimeout(this.waiting);
  }

  private async now(videoId: string, plan: PlanJson) {
    this.running?.abort();
    const { signal } = (this.running = new AbortController());
    const params = { path: { video_id: videoId } };
    try {
      this.estimate = await ask(api.POST("/videos/{video_id}/estimate", { params, body: plan, signal }));
      this.wrong = "";
    } catch (error) {
      if (signal.aborted) return;
      this.estimate = undefined;
      // Before the probe nothing is wrong; it is only too early.
      this.wrong = error instanceof Refusal && error.code === "NOT_PROBED" ? "" : sentence(error);
    }
  }
}
