import { expect, test } from "vitest";
import { Pace } from "./pace";

test("the pace is that of the last seconds", () => {
  const pace = new Pace();
  expect(pace.perSecond).toBe(0);
  for (let second = 0; second <= 20; second++)
    pace.mark(second < 10 ? second * 10 : second * 100, second * 1000);
  expect(pace.perSecond).toBeCloseTo(100);
  pace.reset();
  expect(pace.perSecond).toBe(0);
});
