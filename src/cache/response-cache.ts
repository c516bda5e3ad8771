import { randomUUID } from 'node:crypto';
import {
  type CachedResponse,
  type CacheEntry,
  type CacheServer,
  decodeEntry,
  encodeEntry,
  isMark,
  validityOf,
} from './cache.ts';
import { within } from '../concurrency/deadline.ts';
import { createSingleFlight } from '../concurrency/single-flight.ts';
import type { Incarnation } from './incarnation.ts';
import type { CacheMeter } from './meter.ts';

export interface CacheResult<Loaded extends CachedResponse | undefined = CachedResponse | undefined> {
  /** The cached response, or the loaded one. */
  readonly answer: CachedResponse | Loaded;
  readonly source: 'cache' | 'database';
}

/** Answers reads from the cache where its entry equals what the database would answer now. */
export interface ResponseCache {
  /** `load` reads the database. Its result must not depend on the client; undefined where there is nothing to answer with. */
  read<Loaded extends CachedResponse | undefined>(
    wanted: CacheEntry,
    load: () => Promise<Loaded>,
  ): Promise<CacheResult<Loaded>>;
}

export interface ResponseCacheOptions {
  readonly server: CacheServer;
  readonly incarnation: Pick<Incarnation, 'activeIncarnation' | 'revalidate' | 'failed'>;
  /** Everything else that answers depend on: entries of another variant are invalid. Without line breaks. */
  readonly variant: string;
  readonly now: () => number;
  readonly meter: CacheMeter;
}

/** The time that one read may wait for the cache, over all calls. */
const BUDGET_MS = 300;

/** Waits for a call, for all calls together not longer than the budget. Rejects when that is spent. */
type Spend = <T>(call: Promise<T>) => Promise<T>;

interface Lease {
  readonly incarnation: string;
  readonly token: string;
  readonly validity: string;
}

export function createResponseCache({ server, incarnation, variant, now, meter }: ResponseCacheOptions): ResponseCache {
  const share = createSingleFlight();
  const token = () => randomUUID();

  async function find<Loaded extends CachedResponse | undefined>(
    wanted: CacheEntry,
    load: () => Promise<Loaded>,
  ): Promise<CacheResult<Loaded>> {
    const spend = budgetOf(BUDGET_MS, now);
    const active = incarnation.activeIncarnation();
    const found = active === undefined ? undefined : await lookUp(active, wanted, spend);
    if (found && 'answer' in found) {
      meter.hit();
      return { answer: found.answer, source: 'cache' };
    }
    meter.miss(active === undefined ? 'off' : found ? 'empty' : 'busy');
    const answer = await load();
    if (found && answer && !answer.beginning) await fill(wanted.key, found, answer, spend);
    return { answer, source: 'database' };
  }

  /** The cached answer, or a lease to store it. */
  async function lookUp(
    active: string,
    wanted: CacheEntry,
    spend: Spend,
  ): Promise<{ answer: CachedResponse } | Lease | undefined> {
    try {
      const values = await spend(server.read(active, [wanted.key, ...wanted.epochs]));
      if (!values) void incarnation.revalidate();
      if (!values || incarnation.activeIncarnation() !== active) return undefined;
      const [value, ...epochs] = values;
      const expected = validityOf(variant, epochs);
      const answer = expected === undefined ? undefined : decodeEntry(value, expected);
      if (answer) return { answer };
      if ([value, ...epochs].some(isMark)) return undefined;
      const leaseToken = token();
      const validity = await spend(server.lease(active, wanted, { token: leaseToken, variant }));
      return validity === undefined ? undefined : { incarnation: active, token: leaseToken, validity };
    } catch (error) {
      incarnation.failed(error);
      return undefined;
    }
  }

  async function fill(key: string, lease: Lease, answer: CachedResponse, spend: Spend): Promise<void> {
    // Meanwhile the process may have switched to another generation, whose rows the answer was made of.
    if (incarnation.activeIncarnation() !== lease.incarnation) return;
    try {
      const entry = encodeEntry(lease.validity, answer);
      if (!(await spend(server.fill(lease.incarnation, key, lease.token, entry)))) meter.refused();
    } catch (error) {
      incarnation.failed(error);
    }
  }

  return { read: (wanted, load) => share(wanted.key, () => find(wanted, load)) };
}

function budgetOf(ms: number, now: () => number): Spend {
  let left = ms;
  return async (call) => {
    const began = now();
    try {
      return await within(Math.max(0, left), () => new Error(`no answer in ${ms} ms`), call);
    } finally {
      left -= now() - began;
    }
  };
}
