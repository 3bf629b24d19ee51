/** What can be known before a byte is sent: too large, no room, no video. */

export interface Room {
  stored_bytes: number;
  stored_max_bytes: number;
  upload_max_bytes: number;
  direct_upload_max_bytes?: number;
  uploads_today: number;
  uploads_a_day_max: number | null;
}

export type Refused = "empty" | "type" | "size" | "room" | "today";

const videoNames =
  /\.(3g2|3gp|asf|avi|dv|f4v|flv|gif|ivf|m2t|m2ts|m2v|m4v|mj2|mjpe?g|mk3d|mkv|mov|mp4|mpe?g|mts|mxf|nut|obu|ogm|ogv|qt|rm|rmvb|ts|vob|webm|wmv|y4m)$/i;
const otherNames =
  /\.(7z|aac|bmp|css|csv|docx?|exe|flac|gz|heic|html?|jpe?g|js|json|m4a|mp3|odt|ogg|opus|pdf|png|pptx?|psd|py|rar|srt|svg|tar|tiff?|txt|vtt|wav|webp|xlsx?|xml|ya?ml|zip)$/i;

/** Whether a file of a folder is worth bringing; beside videos there lie covers, subtitles and notes. */
export function looksLikeVideo(file: { name: string; type: string }): boolean {
  return file.type.startsWith("video/") || videoNames.test(file.name);
}

/** Why this file need not be sent, if so. `queued` is what waits to be sent before it. */
export function refusedFor(
  file: { name: string; type: string; size: number },
  room: Room | undefined,
  queued: { bytes: number; files: number } = { bytes: 0, files: 0 },
): Refused | undefined {
  if (file.size === 0) return "empty";
  if (otherNames.test(file.name) && !file.type.startsWith("video/")) return "type";
  if (!room) return undefined;
  if (file.size > room.upload_max_bytes) return "size";
  if (room.uploads_a_day_max !== null && room.uploads_today + queued.files >= room.uploads_a_day_max)
    return "today";
  if (room.stored_bytes + queued.bytes + file.size > room.stored_max_bytes) return "room";
  return undefined;
}
