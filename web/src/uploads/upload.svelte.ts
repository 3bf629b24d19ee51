/** One file on its way. */

import { Refusal } from "../api/client";
import { sentence } from "../api/refusals";
import { forget, keep } from "./kept";
import type { Kept } from "./kept";
import { Pace } from "./pace";

export type UploadState =
  | "waiting"
  | "sending"
  /** The network is away; it goes on by itself. */
  | "stalled"
  | "paused"
  /** After a reload: the reader has to say yes to reading the file, or to choose it again. */
  | "needs-yes"
  | "needs-file"
  | "done"
  | "failed";

export class Upload {
  state = $state<UploadState>("waiting");
  sent = $state(0);
  bytesPerSecond = $state(0);
  wrong = $state("");
  videoId = $state<string>();
  readonly key: string;
  readonly name: string;
  readonly size: number;
  private stopper = new AbortController();
  /** What is sent at a time: the next begins when the last has let go. */
  private run = Promise.resolve();
  private pace = new Pace();

  constructor(
    readonly kept: Kept,
    public file: File | undefined,
    private letGo: (() => void) | undefined,
    private onEnd: (upload: Upload) => void,
  ) {
    this.key = kept.key;
    this.name = kept.name;
    this.size = kept.size;
    this.sent = kept.sent ?? 0;
    if (kept.stopped === "paused") this.state = "paused";
    else if (kept.stopped) {
      const { code, detail, status } = kept.stopped;
      this.state = "failed";
      this.wrong = sentence(new Refusal(code, detail, status));
    } else if (!file) this.state = kept.handle ? "needs-yes" : "needs-file";
  }

  get secondsLeft(): number | undefined {
    return this.bytesPerSecond > 0 ? (this.size - this.sent) / this.bytesPerSecond : undefined;
  }

  /** Whether the service keeps room for it, and so counts it by itself. */
  get hasBegun(): boolean {
    return Boolean(this.kept.url ?? this.kept.direct);
  }

  start() {
    if (!this.file) return;
    const file = this.file;
    this.stopper = new AbortController();
    const { signal } = this.stopper;
    this.state = "sending";
    this.wrong = "";
    this.pace.reset();
    this.run = this.run.then(() => this.send(file, signal));
  }

  /** Waits for its turn, whatever it was stopped for. */
  queue() {
    this.state = "waiting";
    this.noteStop(undefined);
  }

  /** Sends no more here; what is kept of it says nothing of that, so that whoever finds it goes on. */
  leave() {
    this.stop();
    this.letGo?.();
  }

  pause() {
    this.stop();
    this.state = "paused";
    // A store that takes all in one piece has nothing of it.
    if (this.kept.direct && !this.kept.direct.resumable && !this.kept.direct.isFull) this.sent = 0;
    this.noteStop("paused");
    this.onEnd(this);
  }

  /** Gives it up, here and there. */
  async cancel() {
    this.stop();
    this.state = "paused";
    await this.run;
    await forget(this.key);
    this.letGo?.();
    const { url, direct } = this.kept;
    if (url)
      await fetch(url, { method: "DELETE", headers: { "Tus-Resumable": "1.0.0" } }).catch(() => undefined);
    if (direct) await (await import("./direct")).giveUp(direct);
  }

  /** The network is back: no need to wait for the next try. */
  nudge() {
    if (this.state !== "stalled") return;
    this.stop();
    this.start();
  }

  private stop() {
    this.stopper.abort();
    this.bytesPerSecond = 0;
  }

  private async send(file: File, signal: AbortSignal) {
    const watcher = {
      sent: (bytes: number) => {
        if (!signal.aborted) this.note(bytes);
      },
      stalled: () => {
        if (signal.aborted) return;
        this.state = "stalled";
        this.bytesPerSecond = 0;
        this.pace.reset();
      },
    };
    try {
      signal.throwIfAborted();
      let videoId: string | undefined;
      if (this.kept.isDirect) {
        const { sendDirectly } = await import("./direct");
        videoId = await sendDirectly(file, this.kept, watcher, signal);
      }
      if (!videoId) {
        const { sendByTus } = await import("./tus");
        videoId = await sendByTus(file, this.kept, watcher, signal);
      }
      this.finish(videoId);
    } catch (error) {
      if (!signal.aborted) this.fail(error);
    }
  }

  private note(sent: number) {
    this.state = "sending";
    this.sent = sent;
    this.pace.mark(sent);
    this.bytesPerSecond = this.pace.perSecond;
  }

  private noteStop(stopped: Kept["stopped"]) {
    this.kept.stopped = stopped;
    this.kept.sent = this.sent;
    void keep(this.kept);
  }

  private finish(videoId: string | undefined) {
    this.videoId = videoId;
    this.sent = this.size;
    this.state = "done";
    void forget(this.key).then(this.letGo);
    this.onEnd(this);
  }

  private fail(error: unknown) {
    const refusal = error instanceof Refusal ? error : new Refusal("INTERNAL", String(error));
    const { code, detail, status } = refusal;
    this.bytesPerSecond = 0;
    this.state = "failed";
    this.wrong = sentence(refusal);
    // A network or service that was away is another by the next time, and so is a session.
    if ((status >= 400 && status < 500 && status !== 401) || status === 507)
      this.noteStop({ code, detail, status });
    this.onEnd(this);
  }
}
