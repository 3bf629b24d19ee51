/** Short messages in the corner, perhaps with something to do about it. */

export interface Notice {
  id: number;
  text: string;
  isBad: boolean;
  action?: { label: string; act: () => void };
}

const SHOWN_MS = 6000;

class Notices {
  all = $state<Notice[]>([]);
  private last = 0;

  /** Returns what takes it away again. */
  tell(text: string, { isBad = false, action, forMs = SHOWN_MS }: Partial<Notice> & { forMs?: number } = {}) {
    const id = ++this.last;
    this.all.push({ id, text, isBad, action });
    if (!isBad) setTimeout(() => this.close(id), forMs);
    return () => this.close(id);
  }

  close(id: number) {
    this.all = this.all.filter((notice) => notice.id !== id);
  }
}

export const notices = new Notices();
