/** All files on their way: three at a time, the rest in order. */

import { api, ask } from "../api/client";
import { bytes } from "../i18n/format";
import { t } from "../i18n/index.svelte";
import type { PlanJson } from "../plan/plan";
import { defaultPlanOf } from "../plan/plan";
import { session } from "../session/session.svelte";
import { notices } from "../shell/notices.svelte";
import type { Gathered, Gathering } from "./gathering";
import { fileOf, find, hold, keep, keepFile, keysOf } from "./kept";
import type { Kept } from "./kept";
import { refusedFor } from "./refusal";
import type { Refused, Room } from "./refusal";
import { Upload } from "./upload.svelte";

const AT_ONCE = 3;
const DONE_SHOWN_MS = 8000;
const arrivalKey = "fotograma.arrival";

/** What happens when a video has arrived: the default plan, or nothing until its reader has chosen. */
export type Arrival = "default" | "choose";

class Uploads {
  list = $state<Upload[]>([]);
  /** Whether what a closed page has left is in the list. */
  isRestored = $state(false);
  arrival = $state<Arrival>(localStorage.getItem(arrivalKey) === "choose" ? "choose" : "default");
  /** Told when a video has arrived, for those who want to go there. */
  onArrived: (videoId: string, arrival: Arrival) => void = () => {};

  private restoring?: Promise<void>;

  active = $derived(this.list.filter((upload) => upload.state === "sending" || upload.state === "stalled"));
  unfinished = $derived(this.list.filter((upload) => upload.state !== "done"));

  constructor() {
    addEventListener("online", () => this.list.forEach((upload) => void upload.nudge()));
  }

  setArrival(arrival: Arrival) {
    this.arrival = arrival;
    localStorage.setItem(arrivalKey, arrival);
  }

  async add({ found, leftOut }: Gathering) {
    // What a closed page has left may be among these.
    await this.restoring;
    const room = await ask(api.GET("/users/me/usage")).catch(() => undefined);
    if (leftOut) notices.tell(t("upload.leftOut", { n: leftOut }));
    for (const gathered of found) await this.addOne(gathered, room);
    this.pump();
  }

  private async addOne({ file, handle }: Gathered, room: Room | undefined) {
    const again = this.list.find((upload) => upload.state !== "done" && isSameFile(upload.kept, file));
    if (again) {
      // The very file that a reload has cut off, or that failed: on with it.
      if (!this.active.includes(again)) this.resume(again, file);
      return;
    }
    const refused = refusedFor(file, room, this.queued());
    if (refused) {
      notices.tell(whyNot(refused, file, room), { isBad: true });
      return;
    }
    const plan: PlanJson = defaultPlanOf(session.user);
    const kept: Kept = {
      key: `${Date.now()}-${Math.random().toString(36).slice(2)}`,
      userId: session.user?.id ?? "",
      name: file.name,
      size: file.size,
      lastModified: file.lastModified,
      metadata: {
        filename: file.name,
        ...(this.arrival === "choose" ? { extract: "false" } : { plan: JSON.stringify(plan) }),
      },
      isDirect: file.size <= (room?.direct_upload_max_bytes ?? 0),
      handle,
    };
    const letGo = await hold(kept.key, { wait: true });
    await keep(kept);
    await keepFile(kept.key, file);
    this.show(kept, file, letGo);
  }

  /** What a reload has cut off. */
  restore(userId: string) {
    this.restoring = this.takeUp(userId);
  }

  private async takeUp(userId: string) {
    for (const key of await keysOf(userId)) {
      const letGo = await hold(key, { wait: false });
      if (letGo) await this.takeOver(key, letGo);
      // What another page is at, when that is closed.
      else void hold(key, { wait: true }).then((letGo) => this.takeOver(key, letGo));
    }
    this.isRestored = true;
  }

  private async takeOver(key: string, letGo?: () => void) {
    const kept = await find(key);
    if (kept) this.show(kept, await fileOf(key), letGo);
    else letGo?.();
    this.pump();
  }

  private show(kept: Kept, file: File | undefined, letGo?: () => void) {
    // Somebody else may have signed in meanwhile.
    if (session.user?.id === kept.userId)
      this.list.push(new Upload(kept, file, letGo, (upload) => this.ended(upload)));
    else letGo?.();
  }

  resume(upload: Upload, file = upload.file) {
    if (!file) {
      void this.sayYes(upload);
      return;
    }
    upload.file = file;
    upload.queue();
    this.pump();
  }

  /** Asks the browser for the file that a handle stands for; only a click may. */
  async sayYes(upload: Upload) {
    const handle = upload.kept.handle as
      (FileSystemFileHandle & { requestPermission?: (of: object) => Promise<string> }) | undefined;
    try {
      if ((await handle?.requestPermission?.({ mode: "read" })) === "granted")
        this.resume(upload, await handle?.getFile());
      else upload.state = "needs-file";
    } catch {
      upload.state = "needs-file";
    }
  }

  async cancel(upload: Upload) {
    this.list = this.list.filter((other) => other !== upload);
    await upload.cancel();
    this.pump();
  }

  clearDone() {
    this.list = this.list.filter((upload) => upload.state !== "done");
  }

  /** Whoever signs out takes the page along; the next one starts with none of it. */
  leave() {
    for (const upload of this.list) upload.leave();
    this.list = [];
  }

  private ended(upload: Upload) {
    if (upload.state === "done" && upload.videoId) {
      this.onArrived(upload.videoId, upload.kept.metadata.extract === "false" ? "choose" : "default");
    }
    this.pump();
    // What has arrived is in the list of videos; here it has nothing more to say.
    if (!this.unfinished.length) setTimeout(() => this.unfinished.length || this.clearDone(), DONE_SHOWN_MS);
  }

  private pump() {
    for (const upload of this.list) {
      if (this.active.length >= AT_ONCE) return;
      if (upload.state === "waiting") void upload.start();
    }
  }

  private queued() {
    // What has been begun counts on the other side already.
    const waiting = this.list.filter((upload) => upload.state === "waiting" && !upload.hasBegun);
    return { bytes: waiting.reduce((sum, upload) => sum + upload.size, 0), files: waiting.length };
  }
}

function isSameFile(kept: Kept, file: File) {
  return kept.name === file.name && kept.size === file.size && kept.lastModified === file.lastModified;
}

function whyNot(refused: Refused, file: File, room?: Room): string {
  const name = file.name;
  if (refused === "size") {
    return t("refused.size", { name, size: bytes(file.size), most: bytes(room?.upload_max_bytes ?? 0) });
  }
  if (refused === "room") {
    const left = Math.max(0, (room?.stored_max_bytes ?? 0) - (room?.stored_bytes ?? 0));
    return t("refused.room", { name, size: bytes(file.size), left: bytes(left) });
  }
  if (refused === "today") return t("refused.today", { name, most: room?.uploads_a_day_max ?? 0 });
  return refused === "empty" ? t("refused.empty", { name }) : t("refused.type", { name });
}

export const uploads = new Uploads();
