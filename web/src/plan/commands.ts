/** The same plan for those who would rather type. */

import { site } from "../prefix";
import { tidy } from "./plan";
import type { PlanJson } from "./plan";

function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

const modeOptions: Record<PlanJson["mode"], (plan: PlanJson) => string[]> = {
  every: (plan) =>
    plan.fps === undefined ? ["--every", `${String(plan.seconds)}s`] : ["--fps", String(plan.fps)],
  every_nth: (plan) => ["--every-nth", String(plan.n)],
  count: (plan) => ["--count", String(plan.n)],
  at: (plan) => ["--at", [plan.seconds].flat().join(",")],
  keyframes: () => ["--keyframes"],
  scenes: (plan) => [
    "--scenes",
    ...(plan.threshold === undefined ? [] : ["--threshold", String(plan.threshold)]),
  ],
  best: (plan) => ["--best", `${String(plan.seconds)}s`],
  all: () => ["--all"],
};
const valued = [
  "start",
  "end",
  "limit",
  "dedupe",
  "snap",
  "stream",
  "format",
  "quality",
  "width",
  "height",
] as const;

/** The engine's command, which gives the same frames. */
export function commandLine(plan: PlanJson, filename: string): string {
  const tidied = tidy(plan);
  const words = ["fotograma", "extract", filename, ...modeOptions[plan.mode](plan)];
  for (const name of valued) if (tidied[name] !== undefined) words.push(`--${name}`, String(tidied[name]));
  if (tidied.crop) words.push("--crop", tidied.crop.join(","));
  if (tidied.square_pixels) words.push("--square-pixels");
  if (tidied.tone_map === false) words.push("--no-tone-map");
  if (tidied.checksums) words.push("--checksums");
  if (tidied.scores) words.push("--scores");
  return [...words, "-o", "frames.zip"].map(quoted).join(" ");
}

const authorization = `--header "Authorization: Bearer $FOTOGRAMA_KEY"`;

/** Asks for it of a video that is here already. */
export function curlForVideo(plan: PlanJson, videoId: string, origin = site()): string {
  return `curl ${authorization} --json ${quoted(JSON.stringify(tidy(plan)))} ${origin}/videos/${videoId}/extractions`;
}

/** Sends a file and asks for it. */
export function curlForFile(plan: PlanJson, filename: string, origin = site()): string {
  const file = quoted(`file=@${filename}`);
  return `curl ${authorization} --form ${quoted(`plan=${JSON.stringify(tidy(plan))}`)} --form ${file} ${origin}/videos/upload`;
}
