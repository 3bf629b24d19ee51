/** Numbers, sizes and times as the reader's language and time zone write them. */

import { language } from "./index.svelte";

const sizes = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
const made = new Map<string, Intl.NumberFormat | Intl.DateTimeFormat | Intl.RelativeTimeFormat>();

/** Making a formatter takes longer than using it a thousand times. */
function once<T extends Intl.NumberFormat | Intl.DateTimeFormat | Intl.RelativeTimeFormat>(
  key: unknown[],
  make: () => T,
): T {
  const name = JSON.stringify([language.locale, language.timeZone, ...key]);
  const formatter = (made.get(name) as T | undefined) ?? make();
  made.set(name, formatter);
  return formatter;
}

export function number(value: number, options: Intl.NumberFormatOptions = {}): string {
  return once(["number", options], () => new Intl.NumberFormat(language.locale, options)).format(value);
}

export function percent(fraction: number): string {
  return number(fraction, { style: "percent", maximumFractionDigits: 0 });
}

export function bytes(value: number): string {
  const step = Math.min(sizes.length - 1, value < 1 ? 0 : Math.floor(Math.log10(value) / 3));
  const scaled = value / 1000 ** step;
  const digits = step === 0 || scaled >= 100 ? 0 : 1;
  return number(scaled, {
    style: "unit",
    unit: sizes[step],
    unitDisplay: step === 0 ? "long" : "short",
    maximumFractionDigits: digits,
  });
}

export function dateTime(value: string | Date): string {
  const options = { dateStyle: "medium", timeStyle: "short", timeZone: language.timeZone } as const;
  return once(["date", options], () => new Intl.DateTimeFormat(language.locale, options)).format(
    new Date(value),
  );
}

const steps: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** `2 hours ago`, `in 3 days`. */
export function relative(value: string | Date, now = Date.now()): string {
  const seconds = (new Date(value).getTime() - now) / 1000;
  const formatter = once(
    ["relative"],
    () => new Intl.RelativeTimeFormat(language.locale, { numeric: "auto" }),
  );
  for (const [unit, length] of steps) {
    if (Math.abs(seconds) >= length) return formatter.format(Math.trunc(seconds / length), unit);
  }
  return formatter.format(0, "second");
}

/** How long something takes: `8 s`, `3 min 5 s`, `2 h 10 min`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const unit = (value: number, name: string) =>
    number(value, { style: "unit", unit: name, unitDisplay: "narrow" });
  if (whole < 60) return unit(whole, "second");
  if (whole < 3_600) return [unit(Math.floor(whole / 60), "minute"), unit(whole % 60, "second")].join(" ");
  return [unit(Math.floor(whole / 3_600), "hour"), unit(Math.floor((whole % 3_600) / 60), "minute")].join(
    " ",
  );
}

/** How long a video is: tenths count where it is short. */
export const length = (seconds: number) => clock(seconds, seconds < 60 ? 1 : 0);

let point = { of: "", is: "." };
/** As the language writes a fraction; kept, for a sheet of frames asks for it at each step of scrolling. */
function decimalPoint(): string {
  if (point.of !== language.locale) point = { of: language.locale, is: number(0.5).charAt(1) };
  return point.is;
}

/** A moment of a video: `0:07`, `1:02:03.450`. */
export function clock(seconds: number, digits = 0): string {
  const scale = 10 ** digits;
  const whole = Math.round(Math.max(0, seconds) * scale);
  const rest = whole % (60 * scale);
  const minutes = Math.floor(whole / (60 * scale));
  const hours = Math.floor(minutes / 60);
  const [full, part] = (rest / scale).toFixed(digits).split(".");
  const parts = [
    hours ? String(minutes % 60).padStart(2, "0") : String(minutes),
    (full ?? "").padStart(2, "0"),
  ];
  if (hours) parts.unshift(String(hours));
  return parts.join(":") + (part ? decimalPoint() + part : "");
}
