/** A file straight into the service's store, past its API. Where that does not work, the API takes it. */

import { api, ask, Refusal } from "../api/client";
import { keep } from "./kept";
import type { Kept, Place } from "./kept";
import { CHUNK_BYTES, RETRY_MS } from "./sending";
import type { Watcher } from "./sending";

/** Google's answer to a piece that is not the last, and to the question how far it is. */
const GOES_ON = 308;
const PASSING = [408, 423, 429, 500, 502, 503, 504];
const NO_WAY = ["DIRECT_UPLOAD_OFF", "DIRECT_UPLOAD_TOO_LARGE"];
/** What brings nothing so often in a row goes through the API, where each piece counts. */
const TRIES = 4;

/** The store has not taken it; without a status: nothing was heard of it. */
class NotTaken extends Error {
  constructor(readonly status = 0) {
    super(`The store's answer was ${status}.`);
  }
}

type Next = "again" | "anew" | "through the API" | "end";

/** Browsers don't say whether a store is away or lets no page in; after the first file, none need find that out. */
let isOutOfReach = false;

/** Places that were given since the page was loaded. */
const given = new WeakSet<Place>();

/** Gives the video's id; none if the file has to go through the API. */
export async function sendDirectly(
  file: File,
  kept: Kept,
  watcher: Watcher,
  signal: AbortSignal,
): Promise<string | undefined> {
  let tries = 0;
  let held = 0;
  let isHeard = Boolean(kept.direct);
  /** So much is there for good, whatever happens; that is new patience. */
  const holds = (bytes: number) => {
    isHeard = true;
    if (bytes > held) tries = 0;
    held = Math.max(held, bytes);
    watcher.sent(bytes);
  };
  const sends = (bytes: number) => {
    if (bytes) isHeard = true;
    watcher.sent(bytes);
  };
  // What a closed page has put by halves can't be gone on with, and may still be on its way there.
  if (kept.direct && !kept.direct.resumable && !kept.direct.isFull && !given.has(kept.direct))
    await leavePlace(kept);
  while (kept.direct || !isOutOfReach) {
    try {
      if (!kept.direct) {
        // Not ended by a pause: a place that nobody has heard of would be kept for nothing.
        kept.direct = await begin(kept);
        given.add(kept.direct);
        await keep(kept);
      }
      const place = kept.direct;
      signal.throwIfAborted();
      if (!place.isFull) {
        if (place.resumable) await putPieces(place, file, { holds, sends, signal });
        else await put(place, file.slice(), { sends, signal });
        place.isFull = true;
        await keep(kept);
      }
      return (await complete(place)).id;
    } catch (error) {
      signal.throwIfAborted();
      const next = whatNext(error, isHeard);
      if (next === "end") throw error;
      if (kept.direct && error instanceof Refusal && error.code === "UPLOAD_INCOMPLETE")
        kept.direct.isFull = false;
      const isEnough = next === "through the API" || (tries >= TRIES && !kept.direct?.isFull);
      // Where the API doesn't answer either it is the network, and the place may still be good when that is back.
      const isLeft = (isEnough || next === "anew") && (await leavePlace(kept));
      if (isEnough && isLeft) {
        isOutOfReach ||= error instanceof NotTaken && !isHeard;
        break;
      }
      const pause = RETRY_MS[tries];
      if (pause === undefined) throw error;
      tries += 1;
      watcher.stalled();
      await wait(pause, signal);
    }
  }
  kept.isDirect = false;
  await keep(kept);
  return undefined;
}

function whatNext(error: unknown, isHeard: boolean): Next {
  if (error instanceof NotTaken) {
    if (!error.status) return isHeard ? "again" : "through the API";
    return PASSING.includes(error.status) ? "again" : "anew";
  }
  if (!(error instanceof Refusal)) return "end";
  if (NO_WAY.includes(error.code)) return "through the API";
  if (error.code === "UPLOAD_INCOMPLETE") return "again";
  // It has expired, or was given up elsewhere.
  if ([404, 410].includes(error.status)) return "anew";
  const isPassing = [0, 408, 423].includes(error.status) || (error.status >= 500 && error.status !== 507);
  return isPassing ? "again" : "end";
}

function begin({ name, size, metadata }: Kept): Promise<Place> {
  const extract = metadata.extract !== "false";
  const plan = metadata.plan ? (JSON.parse(metadata.plan) as Record<string, unknown>) : null;
  return ask(api.POST("/videos/upload-url", { body: { filename: name, bytes: size, extract, plan } }));
}

function complete(place: Place) {
  return ask(api.POST("/videos/{upload_id}/complete", { params: { path: { upload_id: place.id } } }));
}

/** Nothing more comes to a place; whether the service has heard that. */
export function giveUp({ id }: Place): Promise<boolean> {
  const path = { upload_id: id };
  return api.DELETE("/videos/upload-url/{upload_id}", { params: { path } }).then(
    () => true,
    () => false,
  );
}

/** Gives a file's place up, if it has one. */
async function leavePlace(kept: Kept): Promise<boolean> {
  if (kept.direct) {
    if (!(await giveUp(kept.direct))) return false;
    kept.direct = undefined;
    await keep(kept);
  }
  return true;
}

interface Sending {
  sends: (bytes: number) => void;
  signal: AbortSignal;
}

/** By a resumable session of Google's: https://cloud.google.com/storage/docs/performing-resumable-uploads */
async function putPieces(
  place: Place,
  file: File,
  { holds, sends, signal }: Sending & { holds: (bytes: number) => void },
) {
  let answer = await put(place, new Blob(), { sends, signal, range: `bytes */${file.size}` });
  for (let last = -1; answer.status === GOES_ON;) {
    const offset = Number(answer.getResponseHeader("Range")?.split("-")[1] ?? -1) + 1;
    holds(offset);
    // It took nothing of the last piece, or does not let the page know.
    if (offset <= last) throw new NotTaken(503);
    last = offset;
    const piece = file.slice(offset, offset + CHUNK_BYTES);
    const range = `bytes ${offset}-${offset + piece.size - 1}/${file.size}`;
    answer = await put(place, piece, { sends: (bytes) => sends(offset + bytes), signal, range });
  }
}

function put(
  place: Place,
  body: Blob,
  { sends, signal, range }: Sending & { range?: string },
): Promise<XMLHttpRequest> {
  return new Promise((give, fail) => {
    // `fetch` does not tell how much was sent.
    const request = new XMLHttpRequest();
    request.open("PUT", place.url);
    for (const [name, value] of Object.entries(place.headers)) request.setRequestHeader(name, value);
    if (range) request.setRequestHeader("Content-Range", range);
    const abort = () => request.abort();
    signal.addEventListener("abort", abort);
    request.upload.onprogress = (event) => sends(event.loaded);
    request.onload = () => {
      const { status } = request;
      if (status === GOES_ON || (status >= 200 && status < 300)) give(request);
      else fail(new NotTaken(status));
    };
    request.onerror = () => fail(new NotTaken());
    request.onabort = () => fail(signal.reason as Error);
    request.onloadend = () => signal.removeEventListener("abort", abort);
    request.send(body);
  });
}

function wait(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((give, fail) => {
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      give();
    }, milliseconds);
    const stop = () => {
      clearTimeout(timer);
      fail(signal.reason as Error);
    };
    signal.addEventListener("abort", stop);
  });
}
