/** The manifest's rows of an extraction: asked for page by page, as they are looked at. */

import { SvelteMap } from "svelte/reactivity";
import { api, ask } from "../api/client";
import type { Schemas } from "../api/client";
import { at } from "../prefix";

export type Frame = Schemas["FrameView"];

const PAGE = 500;
const SCORES = ["sharpness", "difference"] as const;
export type Score = (typeof SCORES)[number];
export type Limits = Partial<Record<Score, number>>;

export class Rows {
  /** How many there are by now. */
  count = $state(0);
  isComplete = $state(false);
  private rows = new SvelteMap<number, Frame>();
  // Nothing on the screen depends on what was asked for.
  // eslint-disable-next-line svelte/prefer-svelte-reactivity
  private asked = new Map<number, Promise<unknown>>();
  /** How far `refresh` has come. */
  private followed = 0;

  constructor(readonly extractionId: string) {}

  at(sequence: number): Frame | undefined {
    return this.rows.get(sequence);
  }

  /** What has come since; of what is finished only the first page, for the rest comes as it is looked at. */
  async refresh() {
    let taken: number;
    do {
      taken = await this.read(this.followed);
      this.followed += taken;
    } while (taken === PAGE && !this.isComplete);
  }

  /** Sees to it that these are there or on their way. */
  need(first: number, last: number) {
    for (let page = Math.floor(first / PAGE); page <= Math.floor(last / PAGE); page++) {
      if (this.asked.has(page)) continue;
      const reading = this.read(page * PAGE).catch(() => {
        // Whoever looks again asks again.
        this.asked.delete(page);
      });
      this.asked.set(page, reading);
    }
  }

  async needAll() {
    this.need(0, this.count - 1);
    await Promise.all(this.asked.values());
  }

  /** The sequences whose scores are at least these; all without limits. */
  chosen(limits: Limits): number[] | undefined {
    const wanted = SCORES.filter((score) => (limits[score] ?? 0) > 0);
    if (!wanted.length) return undefined;
    const all = [...this.rows.values()].sort((one, other) => one.sequence - other.sequence);
    return all
      .filter((row) => wanted.every((score) => (row.scores?.[score] ?? 0) >= (limits[score] ?? 0)))
      .map((row) => row.sequence);
  }

  /** Where a slider ends: what all but a few are below. */
  most(score: Score): number {
    const values = [...this.rows.values()]
      .map((row) => row.scores?.[score] ?? 0)
      .sort((one, other) => one - other);
    return values[Math.floor((values.length - 1) * 0.99)] ?? 0;
  }

  private async read(cursor: number): Promise<number> {
    const params = { path: { extraction_id: this.extractionId }, query: { cursor, limit: PAGE } };
    const page = await ask(api.GET("/extractions/{extraction_id}/frames", { params }));
    for (const row of page.items) this.rows.set(row.sequence, row);
    this.count = Math.max(this.count, page.frames_ready);
    this.isComplete = page.complete;
    return page.items.length;
  }
}

export const thumbnailOf = (extractionId: string, sequence: number) =>
  at(`/extractions/${extractionId}/frames/${sequence}/thumbnail`);
export const pictureOf = (extractionId: string, sequence: number) =>
  at(`/extractions/${extractionId}/frames/${sequence}`);
