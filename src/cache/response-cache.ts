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
import { createSingleFlight } from '../concurrency/single-flight.ts';
import type { Incarnation } from './incarnation.ts';
import type { CacheMeter } from './meter.ts';

export interface CacheResult<Loaded extends CachedResponse | undefined = CachedResponse | undefined> {
  /** As it was cached, or as it was loaded. */
  readonly answer: CachedResponse | Loaded;
  readonly source: 'cache' | 'database';
}

/** Answers to reads, from the cache where that is as good as reading the database now. */
export interface ResponseCache {
  /** `load` reads the database; it must give the same to whoever asks, and undefined where there is nothing to answer with. */
  read<Loaded extends CachedResponse | undefined>(
    wanted: CacheEntry,
    load: () => Promise<Loaded>,
  ): Promise<CacheResult<Loaded>>;
}

export interface ResponseCacheOptions {
  readonly server: CacheServer;
  readonly incarnation: Pick<Incarnation, 'activeIncarnation' | 'revalidate' | 'failed'>;
  /** Whatever else answers depend on: entries of another variant do not count. Without line breaks. */
  readonly variant: string;
  readonly now: () => number;
  readonly meter: CacheMeter;
}

/** A read waits so long for the cache, in all. */
const BUDGET_MS = 300;

/** Waits for what it is given, in all not longer than the budget; rejects when that is spent. */
type Spend = <T>(call: Promise<T>) => Promise<T>;

interface Lease {
  readonly life: string;
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
    const life = incarnation.activeIncarnation();
    const looked = life === undefined ? undefined : await lookUp(life, wanted, spend);
    if (looked && 'answer' in looked) {
      meter.hit();
      return { answer: looked.answer, source: 'cache' };
    }
    meter.miss(life === undefined ? 'off' : looked ? 'empty' : 'busy');
    const answer = await load();
    if (looked && answer && !answer.beginning) await fill(wanted.key, looked, answer, spend);
    return { answer, source: 'database' };
  }

  /** The answer, or a lease to put it there. */
  async function lookUp(
    life: string,
    wanted: CacheEntry,
    spend: Spend,
  ): Promise<{ answer: CachedResponse } | Lease | undefined> {
    try {
      const values = await spend(server.read(life, [wanted.key, ...wanted.epochs]));
      if (!values) void incarnation.revalidate();
      if (!values || incarnation.activeIncarnation() !== life) return undefined;
      const [value, ...epochs] = values;
      const expected = validityOf(variant, epochs);
      const answer = expected === undefined ? undefined : decodeEntry(value, expected);
      if (answer) return { answer };
      if ([value, ...epochs].some(isMark)) return undefined;
      const mine = token();
      const validity = await spend(server.lease(life, wanted, { token: mine, variant }));
      return validity === undefined ? undefined : { life, token: mine, validity };
    } catch (error) {
      incarnation.failed(error);
      return undefined;
    }
  }

  async function fill(key: string, lease: Lease, answer: CachedResponse, spend: Spend): Promise<void> {
    // The build that was read may be another one by now than the one whose entries these are.
    if (incarnation.activeIncarnation() !== lease.life) return;
    try {
      const entry = encodeEntry(lease.validity, answer);
      if (!(await spend(server.fill(lease.life, key, lease.token, entry)))) meter.refused();
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
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer in ${ms} ms`)), Math.max(0, left));
    });
    try {
      return await Promise.race([call, late]);
    } finally {
      clearTimeout(timer);
      left -= now() - began;
    }
  };
}
