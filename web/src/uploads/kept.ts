/** Unfinished uploads, kept in the browser so that a reload goes on with them: no tokens, only where each stands. */

export interface Kept {
  key: string;
  userId: string;
  name: string;
  size: number;
  lastModified: number;
  metadata: Record<string, string>;
  /** Where the upload goes on, once the API has given it a place. */
  url?: string;
  /** The bytes themselves, of what is small enough to be kept twice. */
  file?: File;
  handle?: FileSystemFileHandle;
}

/** What is larger is read again from where it lies, for which the reader has to say yes. */
const COPIED_MAX_BYTES = 512 * 2 ** 20;
const STORE = "uploads";

let opened: Promise<IDBDatabase> | undefined;

function open(): Promise<IDBDatabase> {
  opened ??= new Promise((give, fail) => {
    const request = indexedDB.open("fotograma", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "key" });
    request.onsuccess = () => give(request.result);
    request.onerror = () => fail(request.error);
  });
  return opened;
}

async function run<T>(mode: IDBTransactionMode, act: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const database = await open();
  return new Promise((give, fail) => {
    const request = act(database.transaction(STORE, mode).objectStore(STORE));
    request.onsuccess = () => give(request.result);
    request.onerror = () => fail(request.error);
  });
}

/** Whoever has no such storage, or no room in it, uploads as well; only a reload is not survived. */
export async function keep(upload: Kept): Promise<void> {
  try {
    await run("readwrite", (store) => store.put(upload));
  } catch {
    const { file: _file, handle: _handle, ...rest } = upload;
    await run("readwrite", (store) => store.put(rest)).catch(() => undefined);
  }
}

export async function forget(key: string): Promise<void> {
  await run("readwrite", (store) => store.delete(key)).catch(() => undefined);
}

export async function all(userId: string): Promise<Kept[]> {
  const kept = await run<Kept[]>("readonly", (store) => store.getAll()).catch(() => []);
  return kept.filter((upload) => upload.userId === userId);
}

export async function mayBeCopied(file: File): Promise<boolean> {
  if (file.size > COPIED_MAX_BYTES) return false;
  // Only pages of https and of this machine know how much room there is.
  if (!isSecureContext) return false;
  const { quota = 0, usage = 0 } = await navigator.storage.estimate();
  return file.size < (quota - usage) / 2;
}
