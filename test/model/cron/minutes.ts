/** Minutes of a local clock, counted as if its time were UTC. */
export type LocalMinute = number;

const MINUTE_MS = 60_000;

export interface ClockMinute {
  readonly time: Date;
  readonly shown: LocalMinute;
}

/** The local time of a zone, as text, at every minute of so many hours before and after a time. */
export function minutesAround(timeZone: string, middle: Date, hours: number): ClockMinute[] {
  // Swedish times are nearly ISO 8601.
  const format = new Intl.DateTimeFormat('sv', { timeZone, dateStyle: 'short', timeStyle: 'short' });
  const from = middle.getTime() - hours * 60 * MINUTE_MS;
  return Array.from({ length: hours * 120 }, (_, n) => {
    const time = new Date(from + n * MINUTE_MS);
    return { time, shown: Date.parse(`${format.format(time).replace(' ', 'T')}Z`) / MINUTE_MS };
  });
}

/** The times of an expression that goes by elapsed time. */
export const byElapsedTime = (minutes: readonly ClockMinute[], matches: (shown: LocalMinute) => boolean) =>
  minutes.filter(({ shown }) => matches(shown)).map(({ time }) => time);

/** The times of any other expression: each minute of the clock counts once, as soon as the clock has reached or passed it. */
export function onceForEachMinute(minutes: readonly ClockMinute[], matches: (shown: LocalMinute) => boolean): Date[] {
  const seen = new Set<LocalMinute>();
  let before = (minutes[0]?.shown ?? 0) - 1;
  return minutes.flatMap(({ time, shown }) => {
    let comes = false;
    for (let minute = before + 1; minute <= shown; minute++) {
      if (!seen.has(minute) && matches(minute)) comes = true;
      seen.add(minute);
    }
    before = shown;
    return comes ? [time] : [];
  });
}

/** Each time at which a zone's clock changes, in the years 2024 to 2034, to the minute. No two are within three days. */
export function changesOf(timeZone: string): Date[] {
  const format = new Intl.DateTimeFormat('sv', { timeZone, dateStyle: 'short', timeStyle: 'short' });
  const ahead = (time: number) => Date.parse(`${format.format(time).replace(' ', 'T')}Z`) - time;
  const changes: Date[] = [];
  const step = 3 * 24 * 60 * MINUTE_MS;
  for (let time = Date.UTC(2024, 0, 1); time < Date.UTC(2035, 0, 1); time += step) {
    const [before, after] = [ahead(time), ahead(time + step)];
    if (before === after) continue;
    let [low, high] = [time, time + step];
    while (high - low > MINUTE_MS) {
      const middle = low + Math.floor((high - low) / MINUTE_MS / 2) * MINUTE_MS;
      if (ahead(middle) === before) low = middle;
      else high = middle;
    }
    changes.push(new Date(high));
  }
  return changes;
}
