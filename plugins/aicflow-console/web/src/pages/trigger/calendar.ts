/** The hours of days in a zone, with those that a change of clocks skips or doubles, and what fires in them. */

export interface Fire {
  /** `fire`, or a change of clocks that touches the schedule. */
  kind: string;
  at: string;
  local: string;
  text: string;
}

export interface Hour {
  hour: number;
  /** How much of it there is, in quarters of an hour: 4, less when clocks go forward, more when they go back. */
  quarters: number;
  fires: Fire[];
}

export interface Day {
  /** `2026-10-25`, in the zone. */
  date: string;
  /** An instant of it. */
  at: number;
  hours: Hour[];
}

const QUARTER = 15 * 60_000;
const MOST_DAYS = 14;

/** The date and the hour that the clocks of a zone show at an instant. */
function clock(zone: string): (at: number) => { date: string; hour: number } {
  const format = new Intl.DateTimeFormat("en-CA", { timeZone: zone, hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit" });
  return (at) => {
    const parts = Object.fromEntries(format.formatToParts(at).map((part) => [part.type, part.value]));
    return { date: `${parts["year"]}-${parts["month"]}-${parts["day"]}`, hour: Number(parts["hour"]) };
  };
}

/** The days on which something fires, at most a fortnight of them. */
export function daysOf(fires: readonly Fire[], zone: string): Day[] {
  const shown = clock(zone);
  const days = new Map<string, Day>();
  for (const fire of fires.filter((one) => one.kind === "fire")) {
    const at = Date.parse(fire.at);
    const { date, hour } = shown(at);
    if (!days.has(date)) {
      if (days.size === MOST_DAYS) break;
      days.set(date, { date, at, hours: hoursOf(date, at, shown) });
    }
    days.get(date)!.hours[hour]!.fires.push(fire);
  }
  return [...days.values()];
}

function hoursOf(date: string, around: number, shown: ReturnType<typeof clock>): Hour[] {
  const hours: Hour[] = Array.from({ length: 24 }, (_, hour) => ({ hour, quarters: 0, fires: [] }));
  const first = Math.floor(around / QUARTER) * QUARTER - 27 * 4 * QUARTER;
  for (let step = 0; step < 54 * 4; step += 1) {
    const here = shown(first + step * QUARTER);
    if (here.date === date) hours[here.hour]!.quarters += 1;
  }
  return hours;
}
