import { expect, test } from "vitest";
import { commandLine, curlForFile, curlForVideo } from "./commands";
import { inMode, isSame, parseTime, parseTimes, tidy } from "./plan";
import type { PlanJson } from "./plan";

test("times are read as people write them", () => {
  expect(["7", "1:07.2", "1:00:00", "500ms", "2 min", "1,5", ".5"].map(parseTime)).toEqual([
    7, 67.2, 3600, 0.5, 120, 1.5, 0.5,
  ]);
  expect(["", "soon", "1:2:3:4", "1:00m"].map(parseTime)).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  expect(parseTimes("1, 2.5; 0:07\n9")).toEqual([1, 2.5, 7, 9]);
  expect(parseTimes("1 x")).toBeUndefined();
});

test("another mode keeps how frames are written and drops what it can't mean", () => {
  const plan = inMode({ mode: "every", seconds: 2, format: "png", start: 3 }, "count");
  expect(plan).toEqual({ mode: "count", n: 12, format: "png", start: 3 });
});

test("what has its default is not told", () => {
  const plan: PlanJson = {
    mode: "all",
    start: 0,
    quality: 90,
    format: "png",
    tone_map: true,
    end: undefined,
  };
  expect(tidy(plan)).toEqual({ mode: "all", format: "png" });
  expect(isSame({ mode: "count", n: 3 }, { n: 3, mode: "count", quality: 90 })).toBe(true);
  expect(isSame({ mode: "count", n: 3 }, { mode: "count", n: 4 })).toBe(false);
});

test("a plan is a command of its own, whatever the file is called", () => {
  const plan: PlanJson = { mode: "at", seconds: [1, 2.5], end: 60, crop: [0, 0, 64, 64], tone_map: false };
  expect(commandLine(plan, "my clip's end.mp4")).toBe(
    `fotograma extract 'my clip'\\''s end.mp4' --at 1,2.5 --end 60 --crop 0,0,64,64 --no-tone-map -o frames.zip`,
  );
  expect(curlForVideo({ mode: "count", n: 3 }, "42", "https://x")).toBe(
    `curl --header "Authorization: Bearer $FOTOGRAMA_KEY" --json '{"mode":"count","n":3}' https://x/videos/42/extractions`,
  );
  expect(curlForFile({ mode: "all" }, "a b.mp4", "https://x")).toContain(
    `--form 'file=@a b.mp4' https://x/videos/upload`,
  );
});
