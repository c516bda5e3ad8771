import { randomUUID } from 'node:crypto';
import { type Answer, type Cached, type CacheServer, decodeEntry, encodeEntry, isMark, validityOf } from './cache.ts';
import { createFlights } from './flights.ts';
import type { Incarnation } from './incarnation.ts';
import type { CacheMeter } from './meter.ts';

export interface Found<Loaded extends Answer | undefined = Answer | undefined> {
  /** As it was cached, or as it was loaded. */
  readonly answer: Answer | Loaded;
  readonly source: 'cache' | 'database';
}

/** Answers to reads, from the cache where that is as good as reading the database now. */
export interface Answers {
  /** `load` reads the database; it must give the same to whoever asks, and undefined where there is nothing to answer with. */
  read<Loaded extends Answer | undefined>(wanted: Cached, load: () => Promise<Loaded>): Promise<Found<Loaded>>;
}

export interface AnswersOptions {
  readonly server: CacheServer;
  readonly incarnation: Pick<Incarnation, 'readable' | 'doubt' | 'failed'>;
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

export function createAnswers({ server, incarnation, variant, now, meter }: AnswersOptions): Answers {
  const share = createFlights();
  const token = () => randomUUID();

  async function find<Loaded extends Answer | undefined>(
    wanted: Cached,
    load: () => Promise<Loaded>,
  ): Promise<Found<Loaded>> {
    const spend = budgetOf(BUDGET_MS, now);
    const life = incarnation.readable();
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
  async function lookUp(life: string, wanted: Cached, spend: Spend): Promise<{ answer: Answer } | Lease | undefined> {
    try {
      const values = await spend(server.read(life, [wanted.key, ...wanted.epochs]));
      if (!values) void incarnation.doubt();
      if (!values || incarnation.readable() !== life) return undefined;
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

  async function fill(key: string, lease: Lease, answer: Answer, spend: Spend): Promise<void> {
    // The build that was read may be another one by now than the one whose entries these are.
    if (incarnation.readable() !== lease.life) return;
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
