import { expect, test } from "vitest";

import { ago, duration } from "./time";

test.each([
  [0.2, "<1 ms"],
  [12, "12 ms"],
  [1234, "1.23 s"],
  [59_949, "59.9 s"],
  [61_000, "1 min 1 s"],
  [3_660_000, "1 h 1 min"],
  [90_000_000, "1 d 1 h"],
])("%d ms is %s", (ms, text) => expect(duration(ms)).toBe(text));

test("instants are told from now", () => {
  expect(ago("en", 0, 120_000)).toBe("2 minutes ago");
  expect(ago("en-XA", 3_600_000, 0)).toBe("in 1 hour");
});
