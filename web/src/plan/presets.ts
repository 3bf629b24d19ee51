/** Choices that many make; their names are words of the catalogue. */

import type { PlanJson } from "./plan";

export const presets = [
  { name: "sheet", plan: { mode: "count", n: 24, width: 640 } },
  { name: "dataset", plan: { mode: "every", seconds: 1, dedupe: 6, scores: true } },
  { name: "storyboard", plan: { mode: "scenes", threshold: 27 } },
  { name: "stills", plan: { mode: "best", seconds: 5, format: "png" } },
  { name: "fast", plan: { mode: "keyframes" } },
] as const satisfies { name: string; plan: PlanJson }[];
