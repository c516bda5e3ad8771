import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { type ResponseCache, createResponseCache, type CacheResult } from './response-cache.ts';
import { type CachedResponse, type CacheServer, type CacheEntry, LEASE_MS } from './cache.ts';
import { createMemoryCache } from './memory.ts';

const INCARNATION = 'incarnation-1';
const album: CacheEntry = { key: 'album/1', epochs: ['songs'] };
const answer: CachedResponse = { body: '{"title":"Ænima"}', etag: '"1"', readers: ['user-1'] };
const newer: CachedResponse = { body: '{"title":"Lateralus"}', etag: '"2"' };
const now = () => Date.now();
const pass = (ms: number) => jest.advanceTimersByTimeAsync(ms);
const never = () => new Promise<never>(() => undefined);

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

/** The incarnation as the test sets it. It becomes inactive after a failure of the server. */
function handMade() {
  const incarnation = {
    active: INCARNATION as string | undefined,
    revalidations: 0,
    failures: [] as unknown[],
    activeIncarnation: () => incarnation.active,
    revalidate: () => Promise.resolve(void (incarnation.revalidations += 1)),
    failed(error: unknown) {
      incarnation.failures.push(error);
      incarnation.active = undefined;
    },
  };
  return incarnation;
}

function counting() {
  const counts = { hit: 0, empty: 0, busy: 0, off: 0, refused: 0 };
  const meter = {
    hit: () => void (counts.hit += 1),
    miss: (reason: 'empty' | 'busy' | 'off') => void (counts[reason] += 1),
    refused: () => void (counts.refused += 1),
    marked: () => undefined,
    off: () => undefined,
  };
  return { counts, meter };
}

interface World {
  readonly answers: ResponseCache;
  /** The map in process, without the wrapper in front of it. */
  readonly memory: CacheServer;
  readonly incarnation: ReturnType<typeof handMade>;
  readonly counts: ReturnType<typeof counting>['counts'];
}

/** A response cache over a map in process, with some of its calls replaced. */
async function open(replaced: (memory: CacheServer) => Partial<CacheServer> = () => ({})): Promise<World> {
  const memory = createMemoryCache({ now });
  await memory.begin(INCARNATION);
  const [incarnation, { counts, meter }] = [handMade(), counting()];
  const server = { ...memory, ...replaced(memory) };
  return {
    answers: createResponseCache({ server, incarnation, variant: 'v1', now, meter }),
    memory,
    incarnation,
    counts,
  };
}

const loaded = (what = answer) => jest.fn(() => Promise.resolve(what));
const fromCache = (what: CachedResponse): CacheResult => ({ answer: what, source: 'cache' });
const fromDatabase = (what: CachedResponse | undefined): CacheResult => ({ answer: what, source: 'database' });

/** The result of a read, and its duration in milliseconds. */
async function timed(read: Promise<CacheResult>): Promise<{ found: CacheResult; ms: number }> {
  const began = now();
  const result = read.then((found) => ({ found, ms: now() - began }));
  await pass(10_000);
  return result;
}

describe('an answer', () => {
  it('is read from the database once and is a hit for all later requests', async () => {
    const { answers, counts } = await open();
    expect(await answers.read(album, loaded())).toEqual(fromDatabase(answer));
    const load = loaded();
    expect(await answers.read(album, load)).toEqual(fromCache(answer));
    expect(load).not.toHaveBeenCalled();
    expect(counts).toMatchObject({ hit: 1, empty: 1, busy: 0, off: 0, refused: 0 });
    expect(jest.getTimerCount()).toBe(0);
  });

  it('is not looked up while no incarnation is active', async () => {
    const { answers, incarnation, counts } = await open(() => ({ read: never, lease: never, fill: never }));
    incarnation.active = undefined;
    expect(await answers.read(album, loaded())).toEqual(fromDatabase(answer));
    expect(counts).toMatchObject({ off: 1, empty: 0, busy: 0, hit: 0 });
  });

  it.each([album.key, 'songs'])('comes from the database while %s is marked, and is stored afterwards', async (key) => {
    const lease = jest.fn<CacheServer['lease']>();
    const { answers, memory, counts } = await open((behind) => ({ lease: lease.mockImplementation(behind.lease) }));
    await answers.read(album, loaded());
    await memory.mark(INCARNATION, [key], 'batch');
    lease.mockClear();
    for (const what of [answer, newer]) expect(await answers.read(album, loaded(what))).toEqual(fromDatabase(what));
    expect(counts.busy).toBe(2);
    expect(lease).not.toHaveBeenCalled();
    await memory.release(INCARNATION, [key], 'batch');
    expect(await answers.read(album, loaded(newer))).toEqual(fromDatabase(newer));
    expect(await answers.read(album, loaded())).toEqual(fromCache(newer));
  });

  it('is ignored when it has another variant', async () => {
    const { answers, memory, incarnation } = await open();
    await answers.read(album, loaded());
    const { meter } = counting();
    const others = createResponseCache({ server: memory, incarnation, variant: 'v2', now, meter });
    expect(await others.read(album, loaded(newer))).toEqual(fromDatabase(newer));
    expect(await others.read(album, loaded())).toEqual(fromCache(newer));
  });

  it('is not stored when its key was marked while it was read', async () => {
    const { answers, memory, counts } = await open();
    const changing = async () => {
      await memory.mark(INCARNATION, [album.key], 'batch');
      await memory.release(INCARNATION, [album.key], 'batch');
      return answer;
    };
    expect(await answers.read(album, changing)).toEqual(fromDatabase(answer));
    expect(counts.refused).toBe(1);
    expect(await answers.read(album, loaded(newer))).toEqual(fromDatabase(newer));
  });

  it('is ignored when its epoch was marked while it was read', async () => {
    const { answers, memory } = await open();
    const changing = async () => {
      await memory.mark(INCARNATION, ['songs'], 'batch');
      await memory.release(INCARNATION, ['songs'], 'batch');
      return answer;
    };
    await answers.read(album, changing);
    expect(await answers.read(album, loaded(newer))).toEqual(fromDatabase(newer));
  });

  it('is read and not stored when another process is about to store it', async () => {
    const { answers, memory, counts } = await open();
    await memory.lease(INCARNATION, album, { token: 'another process', variant: 'v1' });
    expect(await answers.read(album, loaded())).toEqual(fromDatabase(answer));
    expect(counts).toMatchObject({ busy: 1, refused: 0 });
    await pass(LEASE_MS);
    await answers.read(album, loaded(newer));
    expect(await answers.read(album, loaded())).toEqual(fromCache(newer));
  });

  it('is not stored when there is nothing to answer with', async () => {
    const { answers, memory, incarnation } = await open();
    expect(await answers.read(album, () => Promise.resolve(undefined))).toEqual(fromDatabase(undefined));
    expect(incarnation.failures).toEqual([]);
    expect((await memory.read(INCARNATION, [album.key]))?.[0]).toMatch(/^\?/);
  });

  it('rejects when it could not be read, and is read again by the next request', async () => {
    const { answers } = await open();
    await expect(answers.read(album, () => Promise.reject(new Error('no database')))).rejects.toThrow('no database');
    expect(await answers.read(album, loaded())).toEqual(fromDatabase(answer));
  });

  it('is read once for concurrent requests, and again for a request that comes while it is read', async () => {
    const { answers, incarnation } = await open();
    incarnation.active = undefined;
    const { promise, resolve } = Promise.withResolvers<CachedResponse>();
    const [slow, fresh] = [jest.fn(() => promise), loaded(newer)];
    const [first, ...others] = [answers.read(album, slow), answers.read(album, fresh), answers.read(album, fresh)];
    resolve(answer);
    expect(await first).toEqual(fromDatabase(answer));
    expect(await Promise.all(others)).toEqual([fromDatabase(newer), fromDatabase(newer)]);
    expect(fresh).toHaveBeenCalledTimes(1);
  });
});

describe('an answer of another incarnation', () => {
  it('is not found, and makes the process revalidate', async () => {
    const { answers, memory, incarnation } = await open();
    await answers.read(album, loaded());
    await memory.begin('incarnation-2');
    expect(await answers.read(album, loaded(newer))).toEqual(fromDatabase(newer));
    expect(incarnation.revalidations).toBe(1);
    expect(await memory.read('incarnation-2', [album.key, ...album.epochs])).toEqual([undefined, undefined]);
  });

  it('is ignored when the incarnation has changed by the time it arrives', async () => {
    const { answers, incarnation } = await open((memory) => ({
      read: async (...args) => {
        const values = await memory.read(...args);
        if (values?.[0]?.startsWith('=')) incarnation.active = undefined;
        return values;
      },
    }));
    await answers.read(album, loaded());
    expect(await answers.read(album, loaded(newer))).toEqual(fromDatabase(newer));
  });

  it('is not stored when the incarnation has changed by the time it was read', async () => {
    const { answers, memory, incarnation } = await open();
    const slow = () => {
      incarnation.active = 'incarnation-2';
      return Promise.resolve(answer);
    };
    expect(await answers.read(album, slow)).toEqual(fromDatabase(answer));
    expect((await memory.read(INCARNATION, [album.key]))?.[0]).toMatch(/^\?/);
  });
});

describe('a server in trouble', () => {
  const late = async <T>(ms: number, call: Promise<T>): Promise<T> => {
    await new Promise((resolve) => setTimeout(resolve, ms));
    return call;
  };

  it('costs 300 ms once when it never answers', async () => {
    const { answers, incarnation, counts } = await open(() => ({ read: never }));
    expect(await timed(answers.read(album, loaded()))).toEqual({ found: fromDatabase(answer), ms: 300 });
    expect(incarnation.failures).toEqual([new Error('no answer in 300 ms')]);
    expect(await timed(answers.read(album, loaded()))).toEqual({ found: fromDatabase(answer), ms: 0 });
    expect(counts).toMatchObject({ busy: 1, off: 1 });
  });

  it('costs 300 ms in all, however many calls are slow', async () => {
    const { answers, incarnation } = await open((memory) => ({
      read: (...args) => late(200, memory.read(...args)),
      lease: (...args) => late(200, memory.lease(...args)),
    }));
    expect(await timed(answers.read(album, loaded()))).toEqual({ found: fromDatabase(answer), ms: 300 });
    expect(incarnation.failures).toHaveLength(1);
  });

  it('costs 300 ms in all when it does not store the entry, not counting the time of the database', async () => {
    const { answers, incarnation } = await open((memory) => ({
      read: (...args) => late(100, memory.read(...args)),
      lease: (...args) => late(100, memory.lease(...args)),
      fill: never,
    }));
    const slow = () => late(1_000, Promise.resolve(answer));
    expect(await timed(answers.read(album, slow))).toEqual({ found: fromDatabase(answer), ms: 1_300 });
    expect(incarnation.failures).toHaveLength(1);
  });

  it('is used while it answers within the budget', async () => {
    const { answers, incarnation } = await open((memory) => ({
      read: (...args) => late(99, memory.read(...args)),
      lease: (...args) => late(100, memory.lease(...args)),
      fill: (...args) => late(100, memory.fill(...args)),
    }));
    expect(await timed(answers.read(album, loaded()))).toEqual({ found: fromDatabase(answer), ms: 299 });
    expect(await timed(answers.read(album, loaded()))).toEqual({ found: fromCache(answer), ms: 99 });
    expect(incarnation.failures).toEqual([]);
  });

  it.each(['read', 'lease', 'fill'] as const)('does not fail a read by refusing its %s', async (call) => {
    const { answers, incarnation } = await open(() => ({ [call]: () => Promise.reject(new Error('OOM')) }));
    expect(await answers.read(album, loaded())).toEqual(fromDatabase(answer));
    expect(incarnation.failures).toEqual([new Error('OOM')]);
  });
});
