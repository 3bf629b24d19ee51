/** Unfinished uploads, kept in the browser so that a reload goes on with them: no tokens, only where each stands. */

import type { Refusal, Schemas } from "../api/client";

/** Where in the store a file may be put. */
export type Place = Schemas["DirectUploadView"] & {
  /** All of it is there, and only the service has to be told. */
  isFull?: boolean;
};

export interface Kept {
  key: string;
  userId: string;
  name: string;
  size: number;
  lastModified: number;
  metadata: Record<string, string>;
  /** Where the upload goes on, once the API has given it a place. */
  url?: string;
  /** Whether it goes straight into the store. */
  isDirect?: boolean;
  /** Where it goes there, once the API has given it a place. */
  direct?: Place;
  /** How much was sent when it was stopped. */
  sent?: number;
  /** Why it doesn't go on by itself: its owner, or the service, has said so. */
  stopped?: "paused" | Pick<Refusal, "code" | "detail" | "status">;
  handle?: FileSystemFileHandle;
}

/** What is larger is read again from where it lies, for which the reader has to say yes. */
const COPIED_MAX_BYTES = 512 * 2 ** 20;

const UPLOADS = "fotograma";
/** The bytes, of what is small enough to be kept twice: apart, since they would be written anew with each change. */
const FILES = "fotograma.files";
const STORE = "uploads";

const opened = new Map<string, Promise<IDBDatabase>>();

function open(name: string): Promise<IDBDatabase> {
  const known = opened.get(name);
  if (known) return known;
  const opening = new Promise<IDBDatabase>((give, fail) => {
    const request = indexedDB.open(name, 1);
    const options = name === UPLOADS ? { keyPath: "key" } : undefined;
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, options);
    request.onsuccess = () => give(request.result);
    request.onerror = () => fail(request.error);
  });
  opened.set(name, opening);
  return opening;
}

async function run<T>(
  name: string,
  mode: IDBTransactionMode,
  act: (store: IDBObjectStore) => IDBRequest<T>,
): Promise<T> {
  const database = await open(name);
  return new Promise((give, fail) => {
    const transaction = database.transaction(STORE, mode);
    const request = act(transaction.objectStore(STORE));
    // Left to commit by itself it waits for this page once more, and is lost where that is reloaded meanwhile.
    if (mode === "readwrite") transaction.commit();
    request.onsuccess = () => give(request.result);
    request.onerror = () => fail(request.error);
  });
}

/** Whoever has no such storage, or no room in it, uploads as well; only a reload is not survived. */
export async function keep(upload: Kept): Promise<void> {
  try {
    await run(UPLOADS, "readwrite", (store) => store.put(upload));
  } catch {
    const { handle: _handle, ...rest } = upload;
    await run(UPLOADS, "readwrite", (store) => store.put(rest)).catch(() => undefined);
  }
}

/** The bytes too, where there is room. */
export async function keepFile(key: string, file: File): Promise<void> {
  if (await mayBeCopied(file))
    await run(FILES, "readwrite", (store) => store.put(file, key)).catch(() => undefined);
}

export async function forget(key: string): Promise<void> {
  for (const name of [UPLOADS, FILES])
    await run(name, "readwrite", (store) => store.delete(key)).catch(() => undefined);
}

export async function keysOf(userId: string): Promise<string[]> {
  const kept = await run<Kept[]>(UPLOADS, "readonly", (store) => store.getAll()).catch(() => []);
  return kept.filter((upload) => upload.userId === userId).map((upload) => upload.key);
}

export function find(key: string): Promise<Kept | undefined> {
  return run<Kept | undefined>(UPLOADS, "readonly", (store) => store.get(key)).catch(() => undefined);
}

export function fileOf(key: string): Promise<File | undefined> {
  return run<File | undefined>(FILES, "readonly", (store) => store.get(key)).catch(() => undefined);
}

async function mayBeCopied(file: File): Promise<boolean> {
  if (file.size > COPIED_MAX_BYTES) return false;
  // Only pages of https and of this machine know how much room there is.
  if (!isSecureContext) return false;
  const { quota = 0, usage = 0 } = await navigator.storage.estimate();
  return file.size < (quota - usage) / 2;
}

/**
 * Has an upload for this page alone, until it is let go or the page is closed; nothing where another has it. With
 * `wait` that one's end is waited for.
 */
export function hold(key: string, { wait }: { wait: boolean }): Promise<(() => void) | undefined> {
  // Only pages of https and of this machine have locks.
  if (!isSecureContext) return Promise.resolve(() => undefined);
  return new Promise((give) => {
    void navigator.locks.request(`fotograma.upload.${key}`, { ifAvailable: !wait }, (lock) => {
      if (lock) return new Promise<void>((letGo) => give(letGo));
      give(undefined);
      return undefined;
    });
  });
}
