/** Files out of what was dropped: files as they are, folders with all that lies in them. */

import { looksLikeVideo } from "./refusal";

export interface Gathered {
  file: File;
  /** Where the browser gives one: what lets the page read the file again after a reload. */
  handle?: FileSystemFileHandle;
}

export interface Gathering {
  found: Gathered[];
  /** Files of folders that are no videos. */
  leftOut: number;
}

type WithHandle = DataTransferItem & { getAsFileSystemHandle?: () => Promise<FileSystemHandle | null> };

/** Must be called while the drop is handled: afterwards the browser has forgotten what it was. */
export async function gather(transfer: DataTransfer): Promise<Gathering> {
  const dropped = [...transfer.items]
    .filter((item) => item.kind === "file")
    .map((item) => ({
      entry: item.webkitGetAsEntry(),
      file: item.getAsFile(),
      handle: (item as WithHandle).getAsFileSystemHandle?.().catch(() => null),
    }));
  const all: Gathering = { found: [], leftOut: 0 };
  for (const { entry, file, handle } of dropped) {
    if (entry?.isDirectory) await walk(entry as FileSystemDirectoryEntry, all);
    else if (file) {
      const known = await handle;
      all.found.push({ file, handle: known?.kind === "file" ? (known as FileSystemFileHandle) : undefined });
    }
  }
  return all;
}

/** What `<input webkitdirectory>` gives. */
export function ofFolder(files: Iterable<File>): Gathering {
  const all = [...files];
  const found = all.filter(looksLikeVideo).map((file) => ({ file }));
  return { found, leftOut: all.length - found.length };
}

async function walk(folder: FileSystemDirectoryEntry, all: Gathering) {
  const reader = folder.createReader();
  for (;;) {
    // It gives a hundred at a time, and none at the end.
    const entries = await new Promise<FileSystemEntry[]>((give, fail) => reader.readEntries(give, fail));
    if (!entries.length) return;
    for (const entry of entries) {
      if (entry.isDirectory) await walk(entry as FileSystemDirectoryEntry, all);
      else {
        const file = await new Promise<File>((give, fail) => (entry as FileSystemFileEntry).file(give, fail));
        if (looksLikeVideo(file)) all.found.push({ file });
        else all.leftOut += 1;
      }
    }
  }
}
