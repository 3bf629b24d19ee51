/** What the probe says of a file. */

export interface Media {
  container: string;
  codec: string;
  profile: string | null;
  pixel_format: string;
  width: number;
  height: number;
  rotation: number;
  sample_aspect_ratio: string;
  frame_rate: string | null;
  variable_frame_rate: boolean;
  duration_seconds: number;
  frames: number;
  bit_depth: number;
  color: { transfer: string | null };
  streams: { index: number; type: string; codec: string | null }[];
}

/** As it is seen: upright. */
export interface ShownMedia extends Media {
  shownWidth: number;
  shownHeight: number;
  framesPerSecond: number | undefined;
  hdr: "PQ" | "HLG" | undefined;
}

export function mediaOf(value: unknown): ShownMedia | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const media = value as Media;
  const isTurned = media.rotation % 180 !== 0;
  const [over, under = "1"] = (media.frame_rate ?? "").split("/");
  const hdr = { SMPTE2084: "PQ", ARIB_STD_B67: "HLG" } as const;
  return {
    ...media,
    shownWidth: isTurned ? media.height : media.width,
    shownHeight: isTurned ? media.width : media.height,
    framesPerSecond: over ? Number(over) / Number(under) : undefined,
    hdr: hdr[media.color.transfer as keyof typeof hdr],
  };
}
