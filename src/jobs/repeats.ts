import { AppError } from '../errors.ts';
import type { Repeat } from '../events/jobs.ts';
import { nextTime } from './cron.ts';

/** What becomes of times that passed while nothing ran. */
export const MISSED = ['run-once', 'run-all', 'skip'] as const;
export type Missed = (typeof MISSED)[number];

/** A repeat as a request says it. */
export interface RepeatRequest {
  readonly cron: string;
  readonly timeZone: string;
  readonly missed?: Missed | undefined;
  /** ISO 8601: no time after it is due. */
  readonly until?: string | undefined;
}

/** What repeats have to keep to. Admins need not: they come every second, and without end. */
export interface RepeatLimits {
  /** Shortest time between two occurrences, in seconds. */
  readonly seconds: number;
}

/** Occurrences after which a user's repeating job ends, unless it is extended. */
const MAX_OCCURRENCES = 1_000;
const ADMIN_SECONDS = 1;

/**
 * The repeat as it is written down. A user's ends after a year at the latest, and after 1,000 occurrences. Throws what is wrong
 * with it.
 */
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

/** All that an expression of one week has, and of a rarer one the times of one of its days. */
const [LOOKED_AT, AT_LEAST, WEEK_MS] = [100, 4, 8 * 86_400_000];

/**
 * Whether two times in a row are closer together than so many seconds. In UTC: where clocks change, times can come closer, and
 * an expression that is fine in January must be in March.
 */
function comesWithin(seconds: number, cron: string, now: Date): boolean {
  const timeZone = 'UTC';
  const first = nextTime(cron, timeZone, now);
  let last = first;
  for (let looked = 0; first && last && looked < LOOKED_AT; looked++) {
    const next = nextTime(cron, timeZone, last);
    if (!next) return false;
    if (next.getTime() - last.getTime() < seconds * 1_000) return true;
    if (looked >= AT_LEAST && next.getTime() - first.getTime() > WEEK_MS) return false;
    last = next;
  }
  return false;
}

/** A repeating job of which a time is due. */
export interface DueRepeat extends Omit<Repeat, 'first' | 'missed'> {
  /** The time that is due. */
  readonly at: Date;
  /** Occurrences so far. */
  readonly occurred: number;
  readonly missed: string;
}

export interface Due {
  readonly at: Date;
  /** Whether it occurs, or is passed over. */
  readonly occurs: boolean;
  /** Times that are passed over, `at` among them unless it occurs. */
  readonly passedOver: number;
  /** Undefined: there is no other. */
  readonly next: Date | undefined;
}

/** A time that nothing came for so long after it is missed. */
const LATE_MS = 60_000;
/** More at a time would keep the process from everything else; the others are passed over next. */
const MAX_PASSED_OVER = 200;

/** What is to be done of the times that have come. */
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

/** The next time of it, if there is one before its end. */
function after(time: Date, { cron, timeZone, until }: Pick<Repeat, 'cron' | 'timeZone' | 'until'>): Date | undefined {
  const next = nextTime(cron, timeZone, time);
  return next && until !== null && next > new Date(until) ? undefined : next;
}

const isLast = (number: number, count: number | null) => count !== null && number >= count;
