import { AppError } from '../errors.ts';
import type { Repeat } from '../events/jobs.ts';
import { nextTime } from './cron.ts';

/** What happens to times that passed while no scheduler ran. */
export const MISSED = ['run-once', 'run-all', 'skip'] as const;
export type Missed = (typeof MISSED)[number];

/** A repeat as a client asks for it. */
export interface RepeatRequest {
  readonly cron: string;
  readonly timeZone: string;
  readonly missed?: Missed | undefined;
  /** ISO 8601. No time after it is due. */
  readonly until?: string | undefined;
}

/** The limits of repeats. Those of admins may come every second, and need no end. */
export interface RepeatLimits {
  /** The shortest time between two occurrences, in seconds. */
  readonly seconds: number;
}

/** Occurrences after which a user's repeating job ends, unless it is extended. */
const MAX_OCCURRENCES = 1_000;
const ADMIN_SECONDS = 1;

/** The repeat as it is recorded. A user's ends after a year at the latest, and after 1,000 occurrences. Throws when it is not allowed. */
export function repeatFrom(
  asked: RepeatRequest,
  { seconds, isAdmin }: { seconds: number; isAdmin: boolean },
  now: Date,
): Repeat {
  const { cron, timeZone, missed = 'run-once' } = asked;
  const first = nextTime(cron, timeZone, now);
  const until = untilOf(asked, isAdmin, now);
  if (!first || (until && first > until)) throw new AppError('rejected', 'NEVER_DUE', 'There is no such time.');
  const shortest = isAdmin ? ADMIN_SECONDS : seconds;
  if (comesWithin(shortest, cron, now)) {
    throw new AppError('rejected', 'REPEATS_TOO_OFTEN', `It must not come more often than every ${shortest} seconds.`);
  }
  return {
    cron,
    timeZone,
    first: first.toISOString(),
    missed,
    until: until?.toISOString() ?? null,
    count: isAdmin ? null : MAX_OCCURRENCES,
  };
}

function untilOf({ until }: RepeatRequest, isAdmin: boolean, now: Date): Date | undefined {
  const given = until === undefined ? undefined : new Date(until);
  if (isAdmin) return given;
  const latest = new Date(now);
  latest.setUTCFullYear(latest.getUTCFullYear() + 1);
  if (given && given > latest)
    throw new AppError('rejected', 'REPEATS_TOO_LONG', 'It must end within a year; then it can be extended.');
  return given ?? latest;
}

/** At most how many times are compared, how many at least, and the time after which an expression of one week repeats itself. */
const [MAX_TIMES, MIN_TIMES, WEEK_MS] = [100, 4, 8 * 86_400_000];

/**
 * Whether two times in a row are closer together than so many seconds. They are compared in UTC: where clocks change, times can come
 * closer, and an expression that is allowed in January must be allowed in March.
 */
function comesWithin(seconds: number, cron: string, now: Date): boolean {
  const timeZone = 'UTC';
  const first = nextTime(cron, timeZone, now);
  let last = first;
  for (let compared = 0; first && last && compared < MAX_TIMES; compared++) {
    const next = nextTime(cron, timeZone, last);
    if (!next) return false;
    if (next.getTime() - last.getTime() < seconds * 1_000) return true;
    if (compared >= MIN_TIMES && next.getTime() - first.getTime() > WEEK_MS) return false;
    last = next;
  }
  return false;
}

/** A repeating job with a due time. */
export interface DueRepeat extends Omit<Repeat, 'first' | 'missed'> {
  /** The time that is due. */
  readonly at: Date;
  /** How many occurrences there were. */
  readonly occurred: number;
  readonly missed: string;
}

export interface Due {
  readonly at: Date;
  /** Whether a job is created for it, or it is passed over. */
  readonly occurs: boolean;
  /** How many times are passed over, `at` among them unless it occurs. */
  readonly passedOver: number;
  /** Undefined when there is no further time. */
  readonly next: Date | undefined;
}

/** A time is missed when no occurrence has come within this time after it. */
const LATE_MS = 60_000;
/** More at once would block the process. The others are passed over in the next turn. */
const MAX_PASSED_OVER = 200;

/** What to do about the times that have come. */
export function dueOf(repeat: DueRepeat, now: Date): Due {
  const { at, missed, occurred, count } = repeat;
  if (missed === 'run-all')
    return { at, occurs: true, passedOver: 0, next: isLast(occurred + 1, count) ? undefined : after(at, repeat) };
  let [last, next, before] = [at, after(at, repeat), 0];
  while (next && next <= now && before < MAX_PASSED_OVER)
    [last, next, before] = [next, after(next, repeat), before + 1];
  const hasMore = next !== undefined && next <= now;
  const occurs = !hasMore && (missed !== 'skip' || now.getTime() - last.getTime() < LATE_MS);
  return {
    at: last,
    occurs,
    passedOver: before + (occurs ? 0 : 1),
    next: occurs && isLast(occurred + 1, count) ? undefined : next,
  };
}

/** The next time, if there is one before the end. */
function after(time: Date, { cron, timeZone, until }: Pick<Repeat, 'cron' | 'timeZone' | 'until'>): Date | undefined {
  const next = nextTime(cron, timeZone, time);
  return next && until !== null && next > new Date(until) ? undefined : next;
}

const isLast = (number: number, count: number | null) => count !== null && number >= count;
