/** Videos as they change: told by the server while it can, asked for while it can't. */

import { SvelteMap } from "svelte/reactivity";
import { api, ask } from "../api/client";
import type { Schemas } from "../api/client";
import { at } from "../prefix";

export type Video = Schemas["VideoView"];

const POLL_MS = 3000;
const RECONNECT_MS = 20_000;

type Listener = (video: Video) => void;

class Feed {
  /** The newest that is known of each video. */
  readonly videos = new SvelteMap<string, Video>();
  private source?: EventSource;
  private polling?: ReturnType<typeof setInterval>;
  private reconnecting?: ReturnType<typeof setTimeout>;
  private listeners = new Set<Listener>();
  private refreshers = new Set<() => void>();

  connect() {
    if (this.source) return;
    const source = new EventSource(at("/events"));
    this.source = source;
    let wasOpen = false;
    source.addEventListener("open", () => {
      this.stopPolling();
      // What was deleted while nobody listened is not told.
      if (wasOpen) this.refresh();
      wasOpen = true;
    });
    source.addEventListener("video", (event) => this.take(JSON.parse(event.data as string) as Video));
    source.addEventListener("deleted", (event) => {
      this.videos.delete((JSON.parse(event.data as string) as { id: string }).id);
      this.refresh();
    });
    source.addEventListener("snapshot", (event) => {
      if (!(JSON.parse(event.data as string) as { complete: boolean }).complete) this.refresh();
    });
    source.addEventListener("error", () => {
      this.startPolling();
      // The browser tries again by itself, unless it was refused.
      if (source.readyState !== EventSource.CLOSED) return;
      this.source = undefined;
      this.reconnecting = setTimeout(() => this.connect(), RECONNECT_MS);
    });
  }

  disconnect() {
    this.source?.close();
    this.source = undefined;
    clearTimeout(this.reconnecting);
    this.stopPolling();
    this.videos.clear();
  }

  take(video: Video) {
    this.videos.set(video.id, video);
    for (const listener of this.listeners) listener(video);
  }

  /** Both return what ends it. */
  onVideo(listener: Listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
  onRefresh(refresher: () => void) {
    this.refreshers.add(refresher);
    return () => this.refreshers.delete(refresher);
  }

  /** One video, asked for. */
  async load(id: string): Promise<Video> {
    const video = await ask(api.GET("/videos/{video_id}", { params: { path: { video_id: id } } }));
    this.take(video);
    return video;
  }

  private refresh() {
    for (const refresher of this.refreshers) refresher();
  }

  private startPolling() {
    this.polling ??= setInterval(() => this.refresh(), POLL_MS);
  }

  private stopPolling() {
    clearInterval(this.polling);
    this.polling = undefined;
  }
}

export const feed = new Feed();
