import { LRUCache } from 'lru-cache';
import { AppError } from '../errors.ts';
import type { Database } from '../postgres/pool.ts';
import { jobLoadsOf } from '../projections/jobs.ts';
import { together } from '../together.ts';

export interface QuotaOptions {
  readonly database: Database;
  /** Jobs of an account that have not ended. */
  readonly unfinished: number;
  /** Jobs of an account that are begun in so many seconds, those of requests and occurrences of repeating jobs together. */
  readonly rate: { readonly count: number; readonly seconds: number } | undefined;
}

/** Throws 429 when an account has as many jobs as it may have, or has begun as many as it may for now. */
export type MustHaveRoom = (account: string) => Promise<void>;

const ACCOUNTS_REMEMBERED = 10_000;
const COUNTED_AGAIN_MS = 1_000;

/** Counts again after a second, and each time once half of the room is taken: few requests have to. */
export function createQuota({ database, unfinished, rate }: QuotaOptions): MustHaveRoom {
  const limits = { unfinished, started: rate?.count ?? 0, seconds: rate?.seconds ?? 0 };
  const loadOf = together((owners: readonly string[]) => jobLoadsOf(database, owners, limits));
  const counts = new LRUCache<string, { unfinished: number; started: number }>({
    ...{ max: ACCOUNTS_REMEMBERED, ttl: COUNTED_AGAIN_MS },
  });
  const isHalfFull = (load: { unfinished: number; started: number }) =>
    load.unfinished >= unfinished / 2 || (rate !== undefined && load.started >= rate.count / 2);

  return async (account) => {
    let load = counts.get(account);
    if (!load || isHalfFull(load)) counts.set(account, (load = { ...(await loadOf(account)) }));
    if (load.unfinished++ >= unfinished)
      throw new AppError('too-many', 'TOO_MANY_JOBS', `You have ${unfinished} jobs that have not ended.`);
    if (rate && load.started++ >= rate.count) {
      const message = `You have begun ${rate.count} jobs within ${rate.seconds} s. Please try again later.`;
      throw new AppError('too-many', 'TOO_MANY_REQUESTS', message, { retryAfter: rate.seconds });
    }
  };
}
