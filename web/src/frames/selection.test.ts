import { expect, test } from "vitest";
import { Selection, Shown } from "./selection.svelte";

test("a click chooses and takes back", () => {
  const selection = new Selection();
  const shown = new Shown(undefined, 10);
  selection.toggle(3, shown);
  selection.toggle(5, shown);
  selection.toggle(3, shown);
  expect([...selection.chosen]).toEqual([5]);
});

test("shift takes all between, in whichever direction, and only what is on the screen", () => {
  const selection = new Selection();
  const shown = new Shown([0, 4, 6, 9], 4);
  selection.toggle(9, shown);
  selection.toggle(4, shown, { isRange: true });
  expect([...selection.chosen].sort()).toEqual([4, 6, 9]);
});
