/** One page of the history, and the rows that come and go while it is looked at. */

import { SvelteSet } from "svelte/reactivity";
import { api, ask } from "../api/client";
import { sentence } from "../api/refusals";
import { feed } from "./feed.svelte";
import type { Video } from "./feed.svelte";

export type Status = Video["status"];
const PAGE = 25;

/** Hidden until they are gone for good, or the reader has thought better of it. */
export const hidden = new SvelteSet<string>();

export class VideoList {
  search = $state("");
  status = $state<Status>();
  /** Undefined until the first answer. */
  private ids = $state.raw<string[]>();
  private cursors = $state.raw<(string | undefined)[]>([undefined]);
  private next = $state<string>();
  wrong = $state("");
  private asked = 0;

  rows = $derived(
    this.ids
      ?.map((id) => feed.videos.get(id))
      .filter((video) => video !== undefined)
      .filter((video) => !hidden.has(video.id) && (!this.status || video.status === this.status)),
  );
  page = $derived(this.cursors.length);
  hasNext = $derived(this.next !== undefined);
  isNarrowed = $derived(this.search !== "" || this.status !== undefined);

  watch() {
    const ends = [feed.onVideo((video) => this.welcome(video)), feed.onRefresh(() => void this.load())];
    return () => ends.forEach((end) => end());
  }

  async load() {
    const asked = ++this.asked;
    const query = {
      limit: PAGE,
      cursor: this.cursors.at(-1),
      status: this.status,
      search: this.search.trim() || undefined,
    };
    try {
      const page = await ask(api.GET("/videos/status", { params: { query } }));
      if (asked !== this.asked) return;
      page.items.forEach((video) => feed.take(video));
      this.ids = page.items.map((video) => video.id);
      this.next = page.next_cursor ?? undefined;
      this.wrong = "";
    } catch (error) {
      if (asked === this.asked) this.wrong = sentence(error);
    }
  }

  narrow(change: { search?: string; status?: Status | null }) {
    if (change.search !== undefined) this.search = change.search;
    if (change.status !== undefined) this.status = change.status ?? undefined;
    this.cursors = [undefined];
    return this.load();
  }

  forward() {
    this.cursors = [...this.cursors, this.next];
    return this.load();
  }

  back() {
    this.cursors = this.cursors.slice(0, -1);
    return this.load();
  }

  /** A video that has just come belongs on top of the first page. */
  private welcome(video: Video) {
    if (!this.ids || this.page > 1 || this.ids.includes(video.id)) return;
    const isSought = video.filename.toLowerCase().includes(this.search.trim().toLowerCase());
    const oldest = feed.videos.get(this.ids.at(-1) ?? "");
    const isNewer = !this.hasNext || !oldest || video.created_at > oldest.created_at;
    if (!isSought || !isNewer) return;
    this.ids = [...this.ids, video.id].sort((one, other) =>
      (feed.videos.get(other)?.created_at ?? "").localeCompare(feed.videos.get(one)?.created_at ?? ""),
    );
  }
}
