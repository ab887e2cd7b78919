import { expect, test } from "vitest";

import { daysOf } from "./calendar";

const fire = (at: string) => ({ kind: "fire", at, local: "", text: "" });
const odd = (fires: string[], zone: string) =>
  daysOf(fires.map(fire), zone).map((day) => [day.date, day.hours.filter((one) => one.quarters !== 4).map((one) => [one.hour, one.quarters])]);

test("a day has the hours that its clocks show", () => {
  expect(odd(["2026-10-25T01:30:00Z"], "Europe/Berlin")).toEqual([["2026-10-25", [[2, 8]]]]);
  expect(odd(["2026-03-29T01:00:00Z"], "Europe/Berlin")).toEqual([["2026-03-29", [[2, 0]]]]);
  expect(odd(["2026-10-03T16:00:00Z"], "Australia/Lord_Howe")).toEqual([["2026-10-04", [[2, 2]]]]);
  expect(odd(["2026-10-25T01:30:00Z"], "UTC")).toEqual([["2026-10-25", []]]);
});

test("fires stand in the hour of the zone", () => {
  const [day] = daysOf([fire("2026-07-01T22:30:00Z"), fire("2026-07-01T22:45:00Z"), { ...fire("2026-07-01T22:50:00Z"), kind: "doubled" }], "Europe/Berlin");
  expect(day?.date).toBe("2026-07-02");
  expect(day?.hours[0]?.fires).toHaveLength(2);
});

test("a fortnight is enough", () => {
  const fires = Array.from({ length: 30 }, (_, at) => fire(new Date(Date.UTC(2026, 0, 1 + at)).toISOString()));
  expect(daysOf(fires, "UTC")).toHaveLength(14);
});
