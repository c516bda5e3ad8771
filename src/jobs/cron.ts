import { Cron } from 'croner';
import { type WallClock, clockOf, firstShowing, furthestShown } from './clock.ts';

/** Croner alone would accept dates and nicknames as well. */
const FIELDS = /^\s*\S+(?:\s+\S+){4,5}\s*$/;

/** A longer expression can be said in fewer characters, and takes longer to parse each time. */
export const CRON_LENGTH = 200;

const OPTIONS = { mode: '5-or-6-parts', paused: true } as const;

/**
 * The first time after `after` that the expression names; undefined when there is none. Throws when the expression is invalid.
 *
 * Where clocks change, Vixie's rule holds. An expression with a wildcard in minutes or hours goes by elapsed time: it comes each time that
 * the clock shows one of its times. Any other comes once for each of its times: at the first of two equal ones, and when a change leaves
 * some out, once for all of them right after the change. Croner's own rule ends at midnight, and treats steps as wildcards.
 */
export function nextTime(cron: string, timeZone: string, after: Date): Date | undefined {
  if (cron.length > CRON_LENGTH) return undefined; // an earlier version accepted it
  if (!FIELDS.test(cron)) throw new Error('a cron expression has five fields, or six with seconds first');
  const clock = clockOf(timeZone);
  if (!hasWildcard(cron)) return nextOnClock(new Cron(cron, { ...OPTIONS, utcOffset: 0 }), clock, after);
  return new Cron(cron, { ...OPTIONS, timezone: clock.timeZone }).nextRun(after) ?? undefined;
}

/** Whether minutes or hours have a wildcard. */
function hasWildcard(cron: string): boolean {
  const minutesAndHours = cron.trim().split(/\s+/).slice(-5, -3);
  return minutesAndHours.some((field) => /[*?]/.test(field));
}

/** Reads the pattern as if wall time were UTC, where no time is left out or comes twice. */
function nextOnClock(pattern: Cron, clock: WallClock, after: Date): Date | undefined {
  const shown = pattern.nextRun(new Date(furthestShown(clock, after.getTime())));
  return shown ? new Date(firstShowing(clock, shown.getTime())) : undefined;
}

/** What is wrong with a repeat; undefined when nothing is. */
export function faultOf(cron: string, timeZone: string, after: Date): 'cron' | 'timeZone' | undefined {
  try {
    clockOf(timeZone);
  } catch {
    return 'timeZone';
  }
  try {
    return nextTime(cron, timeZone, after) ? undefined : 'cron';
  } catch {
    return 'cron';
  }
}
