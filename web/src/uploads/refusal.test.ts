import { expect, test } from "vitest";
import { looksLikeVideo, refusedFor } from "./refusal";

const room = {
  stored_bytes: 900,
  stored_max_bytes: 1000,
  upload_max_bytes: 500,
  uploads_today: 3,
  uploads_a_day_max: 5,
};
const file = (name: string, size = 50, type = "") => ({ name, size, type });

test("a video that fits is sent", () => {
  expect(refusedFor(file("holiday.mp4"), room)).toBeUndefined();
  expect(refusedFor(file("no ending"), room)).toBeUndefined();
});

test("what can't be taken is told before it is sent", () => {
  expect(refusedFor(file("holiday.mp4", 0), room)).toBe("empty");
  expect(refusedFor(file("notes.PDF"), room)).toBe("type");
  expect(refusedFor(file("holiday.mp4", 501), room)).toBe("size");
  expect(refusedFor(file("holiday.mp4", 101), room)).toBe("room");
});

test("what waits before it counts", () => {
  expect(refusedFor(file("second.mp4"), room, { bytes: 60, files: 1 })).toBe("room");
  expect(refusedFor(file("third.mp4"), room, { bytes: 0, files: 2 })).toBe("today");
  expect(
    refusedFor(file("third.mp4"), { ...room, uploads_a_day_max: null }, { bytes: 0, files: 9 }),
  ).toBeUndefined();
});

test("of a folder only videos are taken", () => {
  const names = ["a.mp4", "cover.jpg", "b.MKV", "readme", ".DS_Store"];
  expect(names.filter((name) => looksLikeVideo(file(name)))).toEqual(["a.mp4", "b.MKV"]);
});
