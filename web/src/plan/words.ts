/** A plan in few words. */

import { clock, number } from "../i18n/format";
import { t } from "../i18n/index.svelte";
import type { PlanJson, Seconds } from "./plan";

export function seconds(value: Seconds | Seconds[] | undefined): string {
  const given = [value ?? 0].flat()[0] ?? 0;
  const unit = (amount: number) =>
    number(amount, { style: "unit", unit: "second", unitDisplay: "narrow", maximumFractionDigits: 3 });
  return typeof given === "number" ? unit(given) : `${given} s`;
}

const asNumber = (value: Seconds) => (typeof value === "number" ? value : Number(value));

export function which(plan: PlanJson): string {
  switch (plan.mode) {
    case "every":
      if (plan.fps !== undefined) return t("plan.short.fps", { fps: String(plan.fps) });
      if (Number(plan.seconds) === 1) return t("plan.short.everySecond");
      return t("plan.short.every", { time: seconds(plan.seconds) });
    case "every_nth":
      return t("plan.short.every_nth", { n: plan.n ?? 1 });
    case "count":
      return t("plan.short.count", { n: plan.n ?? 1 });
    case "at":
      return t("plan.short.at", { n: [plan.seconds ?? []].flat().length });
    case "best":
      return t("plan.short.best", { time: seconds(plan.seconds) });
    case "keyframes":
      return t("plan.short.keyframes");
    case "scenes":
      return t("plan.short.scenes");
    case "all":
      return t("plan.short.all");
  }
}

export function range(plan: PlanJson): string | undefined {
  const start = plan.start ? clock(asNumber(plan.start), asNumber(plan.start) % 1 ? 1 : 0) : undefined;
  const end = plan.end !== undefined ? clock(asNumber(plan.end), asNumber(plan.end) % 1 ? 1 : 0) : undefined;
  if (start && end) return t("plan.short.between", { start, end });
  if (start) return t("plan.short.from", { start });
  return end ? t("plan.short.until", { end }) : undefined;
}

export function how(plan: PlanJson): string {
  const format = plan.format ?? "jpg";
  const name = { jpg: "JPEG", png: "PNG", webp: "WebP", avif: "AVIF" }[format];
  return format === "png" ? name : `${name} ${String(plan.quality ?? 90)}`;
}

/** `1 frame each 2 s, from 0:10 to 1:00, JPEG 90`. */
export function sentenceOf(plan: PlanJson): string {
  return [which(plan), range(plan), how(plan)].filter(Boolean).join(", ");
}
