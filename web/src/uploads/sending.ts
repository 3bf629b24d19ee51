/** What both ways of sending a file share: how much at once, and how long to try. */

/** Proxies in front of services take bodies of 32 MiB and more, and many requests cost more than few. */
export const CHUNK_BYTES = 16 * 2 ** 20;
/** The pauses between tries that bring nothing, about an hour of them. */
export const RETRY_MS = [300, 1000, 2000, 4000, 8000, ...Array<number>(240).fill(15_000)];

/** Who is told how it goes. */
export interface Watcher {
  sent(bytes: number): void;
  /** Nothing comes through now; it goes on by itself. */
  stalled(): void;
}
