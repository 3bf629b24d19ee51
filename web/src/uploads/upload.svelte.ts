/** One file on its way, by tus: what arrived counts, whatever ends the rest. */

import type { DetailedError, Upload as TusUpload } from "tus-js-client";
import { Refusal } from "../api/client";
import { sentence } from "../api/refusals";
import { at } from "../prefix";
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

const CHUNK_BYTES = 16 * 2 ** 20;
const RETRY_MS = [300, 1000, 2000, 4000, 8000, ...Array<number>(240).fill(15_000)];

export class Upload {
  state = $state<UploadState>("waiting");
  sent = $state(0);
  bytesPerSecond = $state(0);
  wrong = $state("");
  videoId = $state<string>();
  readonly key: string;
  readonly name: string;
  readonly size: number;
  private transfer?: TusUpload;
  private pace = new Pace();

  constructor(
    readonly kept: Kept,
    public file: File | undefined,
    private onEnd: (upload: Upload) => void,
  ) {
    this.key = kept.key;
    this.name = kept.name;
    this.size = kept.size;
  }

  get secondsLeft(): number | undefined {
    return this.bytesPerSecond > 0 ? (this.size - this.sent) / this.bytesPerSecond : undefined;
  }

  async start() {
    if (!this.file) return;
    this.state = "sending";
    this.wrong = "";
    this.pace.reset();
    const { Upload: Tus } = await import("tus-js-client");
    // It may have been paused or given up while the code came.
    if (this.state !== "sending") return;
    this.transfer = new Tus(this.file, {
      endpoint: at("/uploads/"),
      uploadUrl: this.kept.url,
      chunkSize: CHUNK_BYTES,
      retryDelays: RETRY_MS,
      metadata: this.kept.metadata,
      storeFingerprintForResuming: false,
      onUploadUrlAvailable: () => {
        this.kept.url = this.transfer?.url ?? undefined;
        void keep(this.kept);
      },
      onProgress: (sent) => {
        this.state = "sending";
        this.sent = sent;
        this.pace.mark(sent);
        this.bytesPerSecond = this.pace.perSecond;
      },
      onShouldRetry: (error) => this.mayRetry(error),
      onSuccess: () => this.finish(),
      onError: (error) => this.fail(error),
    });
    this.transfer.start();
  }

  async pause() {
    this.state = "paused";
    this.bytesPerSecond = 0;
    await this.transfer?.abort();
    this.onEnd(this);
  }

  /** Gives it up, here and there. */
  async cancel() {
    this.state = "paused";
    await this.transfer?.abort().catch(() => undefined);
    const url = this.kept.url;
    await forget(this.key);
    if (url)
      await fetch(url, { method: "DELETE", headers: { "Tus-Resumable": "1.0.0" } }).catch(() => undefined);
  }

  /** The network is back: no need to wait for the next try. */
  async nudge() {
    if (this.state !== "stalled") return;
    await this.transfer?.abort();
    await this.start();
  }

  private mayRetry(error: DetailedError): boolean {
    const status = error.originalResponse?.getStatus() ?? 0;
    const isPassing =
      status === 0 || status === 409 || status === 423 || status === 408 || (status >= 500 && status !== 507);
    if (isPassing) {
      this.state = "stalled";
      this.bytesPerSecond = 0;
      this.pace.reset();
    }
    return isPassing;
  }

  private finish() {
    this.videoId = this.kept.url?.split("/").at(-1);
    this.sent = this.size;
    this.state = "done";
    void forget(this.key);
    this.onEnd(this);
  }

  private fail(error: Error | DetailedError) {
    this.bytesPerSecond = 0;
    this.state = "failed";
    this.wrong = sentence(refusalOf(error));
    this.onEnd(this);
  }
}

function refusalOf(error: Error | DetailedError): Refusal {
  const answer = "originalResponse" in error ? error.originalResponse : null;
  if (!answer) return new Refusal("NETWORK", error.message);
  try {
    const problem = JSON.parse(answer.getBody()) as { code?: string; detail?: string };
    return new Refusal(problem.code ?? "INTERNAL", problem.detail ?? error.message, answer.getStatus());
  } catch {
    return new Refusal("INTERNAL", error.message, answer.getStatus());
  }
}
