import { Cron } from 'croner';

/** Croner reads dates and nicknames as well. */
const FIELDS = /^\s*\S+(?:\s+\S+){4,5}\s*$/;

/** A longer expression says nothing that a shorter one cannot say, and takes longer to read each time. */
export const CRON_LENGTH = 200;

/** The first time after `after` that the expression names; undefined when there is none. Throws for what is no expression. */
export function nextTime(cron: string, timeZone: string, after: Date): Date | undefined {
  if (cron.length > CRON_LENGTH) return undefined; // of an earlier version: it comes no more
  if (!FIELDS.test(cron)) throw new Error('a cron expression has five fields, or six with seconds first');
  return new Cron(cron, { timezone: timeZone, mode: '5-or-6-parts', paused: true }).nextRun(after) ?? undefined;
}

/** Why nothing can repeat so; undefined when it can. */
export function faultOf(cron: string, timeZone: string, after: Date): 'cron' | 'timeZone' | undefined {
  try {
    new Intl.DateTimeFormat('en', { timeZone });
  } catch {
    return 'timeZone';
  }
  try {
    return nextTime(cron, timeZone, after) ? undefined : 'cron';
  } catch {
    return 'cron';
  }
}
