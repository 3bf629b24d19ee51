/** A file through the API, by tus: what arrived counts, whatever ends the rest. */

import type { DetailedError } from "tus-js-client";
import { Refusal } from "../api/client";
import { at } from "../prefix";
import { keep } from "./kept";
import type { Kept } from "./kept";
import { CHUNK_BYTES, RETRY_MS } from "./sending";
import type { Watcher } from "./sending";

/** Gives the video's id. */
export async function sendByTus(
  file: File,
  kept: Kept,
  watcher: Watcher,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { Upload } = await import("tus-js-client");
  // It may have been paused or given up while the code came.
  signal.throwIfAborted();
  return new Promise((give, fail) => {
    const transfer = new Upload(file, {
      endpoint: at("/uploads/"),
      uploadUrl: kept.url,
      chunkSize: CHUNK_BYTES,
      retryDelays: RETRY_MS,
      metadata: kept.metadata,
      storeFingerprintForResuming: false,
      onUploadUrlAvailable: () => {
        kept.url = transfer.url ?? undefined;
        void keep(kept);
      },
      onProgress: (sent) => watcher.sent(sent),
      onShouldRetry: (error) => {
        const isPassing = passes(error.originalResponse?.getStatus() ?? 0);
        if (isPassing) watcher.stalled();
        return isPassing;
      },
      onSuccess: () => give(kept.url?.split("/").at(-1)),
      onError: (error) => fail(refusalOf(error)),
    });
    signal.addEventListener("abort", () => {
      void transfer.abort();
      fail(signal.reason as Error);
    });
    transfer.start();
  });
}

function passes(status: number): boolean {
  return [0, 408, 409, 423].includes(status) || (status >= 500 && status !== 507);
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
