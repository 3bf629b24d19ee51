/** A plan as the engine speaks it: which frames, of what part, written how. */

import type { User } from "../session/session.svelte";

export const modes = ["every", "count", "at", "scenes", "best", "keyframes", "every_nth", "all"] as const;
export type Mode = (typeof modes)[number];
export const formats = ["jpg", "png", "webp", "avif"] as const;
export type Format = (typeof formats)[number];
/** A number where one says exactly this, else a text such as `1/3`. */
export type Seconds = number | string;

export type PlanJson = {
  mode: Mode;
  seconds?: Seconds | Seconds[];
  fps?: Seconds;
  n?: number;
  threshold?: number;
  start?: Seconds;
  end?: Seconds;
  limit?: number;
  dedupe?: number;
  snap?: "exact" | "keyframe";
  stream?: number;
  format?: Format;
  quality?: number;
  width?: number;
  height?: number;
  crop?: [number, number, number, number];
  square_pixels?: boolean;
  tone_map?: boolean;
  checksums?: boolean;
  scores?: boolean;
};

export const firstPlan: PlanJson = { mode: "every", seconds: 1 };

/** What each mode begins with. */
export const modeDefaults: Record<Mode, Partial<PlanJson>> = {
  every: { seconds: 2 },
  count: { n: 12 },
  at: { seconds: [0] },
  scenes: { threshold: 27 },
  best: { seconds: 2 },
  keyframes: {},
  every_nth: { n: 30 },
  all: {},
};

const defaults: Partial<PlanJson> = {
  start: 0,
  snap: "exact",
  format: "jpg",
  quality: 90,
  square_pixels: false,
  tone_map: true,
  checksums: false,
  scores: false,
};

export function defaultPlanOf(user: User | null | undefined): PlanJson {
  return (user?.default_plan as PlanJson | null | undefined) ?? firstPlan;
}

/** The same plan asked in another mode. */
export function inMode(plan: PlanJson, mode: Mode): PlanJson {
  const { seconds: _seconds, fps: _fps, n: _n, threshold: _threshold, ...rest } = plan;
  return { ...rest, mode, ...modeDefaults[mode] };
}

/** Without what is not set or is so by default: as short as it can be told. */
export function tidy(plan: PlanJson): PlanJson {
  const entries = Object.entries(plan).filter(
    ([name, value]) => value !== undefined && value !== null && value !== defaults[name as keyof PlanJson],
  );
  const kept = Object.fromEntries(entries) as PlanJson;
  if (kept.format === "png") delete kept.quality;
  return kept;
}

export function isSame(one: PlanJson, other: PlanJson): boolean {
  const sorted = (plan: PlanJson) => JSON.stringify(Object.entries(tidy(plan)).sort());
  return sorted(one) === sorted(other);
}

/** `1:07.2`, `90`, `1m`, as people write times; undefined where it is none. */
export function parseTime(text: string): number | undefined {
  const trimmed = text.trim().replace(",", ".");
  const time = /^(?:(?:(\d+):)?(\d{1,3}):)?(\d+(?:\.\d*)?|\.\d+)\s*(s|ms|min|m|h)?$/.exec(trimmed);
  if (!time) return undefined;
  const [, hours, minutes, rest, unit] = time;
  if (unit && minutes) return undefined;
  const scale = { ms: 0.001, s: 1, m: 60, min: 60, h: 3600 }[unit ?? "s"] ?? 1;
  const seconds = Number(hours ?? 0) * 3600 + Number(minutes ?? 0) * 60 + Number(rest) * scale;
  return Math.round(seconds * 1e6) / 1e6;
}

/** Several times, apart by space, semicolon or line. */
export function parseTimes(text: string): number[] | undefined {
  const times = text
    .split(/[\s;]+|,\s+/)
    .filter(Boolean)
    .map(parseTime);
  return times.length && times.every((time) => time !== undefined) ? times : undefined;
}
