import { LRUCache } from 'lru-cache';

/** The wall clock of a time zone. Times are milliseconds since the epoch; wall time is counted as if it were UTC. */
export interface WallClock {
  /** As the runtime spells it, whichever spelling was asked for. */
  readonly timeZone: string;
  /** How many milliseconds the clock is ahead of UTC at a time. */
  offsetAt(time: number): number;
}

/** Formatters are kept, because making one takes longer than using it. */
const clocks = new LRUCache<string, WallClock>({ max: 100 });

/** Throws a RangeError for an unknown time zone. */
export function clockOf(timeZone: string): WallClock {
  const known = clocks.get(timeZone);
  if (known) return known;
  const clock = createClock(timeZone);
  clocks.set(timeZone, clock);
  return clock;
}

const OFFSET = /GMT(?:([+-])(\d+):(\d+)(?::(\d+))?)?$/;

function createClock(timeZone: string): WallClock {
  const format = new Intl.DateTimeFormat('en', { timeZone, timeZoneName: 'longOffset' });
  return {
    timeZone: format.resolvedOptions().timeZone,
    offsetAt(time) {
      const [, sign, hours = 0, minutes = 0, seconds = 0] = OFFSET.exec(format.format(time)) ?? [];
      const offset = 1_000 * (3_600 * Number(hours) + 60 * Number(minutes) + Number(seconds));
      return sign === '-' ? -offset : offset;
    },
  };
}

const SECOND = 1_000;
/** No clock is further from UTC, and none moves further at once. The largest changes leave out a day. */
const [FURTHEST, LARGEST] = [16 * 3_600_000, 25 * 3_600_000];

/** The latest wall time that the clock has shown up to a time. While an hour comes for the second time, that is the hour's end. */
export function furthestShown(clock: WallClock, time: number): number {
  const from = time - LARGEST;
  const [before, now] = [clock.offsetAt(from), clock.offsetAt(time)];
  if (before <= now) return time + now;
  return Math.max(time + now, changeBetween(clock, from, time) + before - 1);
}

/** The first time at which the clock shows this wall time or a later one. */
export function firstShowing(clock: WallClock, shown: number): number {
  const [from, to] = [shown - FURTHEST, shown + FURTHEST];
  const [before, after] = [clock.offsetAt(from), clock.offsetAt(to)];
  if (before === after) return shown - before;
  const change = changeBetween(clock, from, to);
  return shown - before < change ? shown - before : Math.max(change, shown - after);
}

/** The second at which the clock changes. It must change exactly once between the two. */
function changeBetween({ offsetAt }: WallClock, from: number, to: number): number {
  const before = offsetAt(from);
  let [low, high] = [Math.floor(from / SECOND), Math.ceil(to / SECOND)];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (offsetAt(middle * SECOND) === before) low = middle;
    else high = middle;
  }
  return high * SECOND;
}
