import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  AHEAD_MS,
  GENERATION,
  type CacheProcess,
  handMadeRow,
  type HandMadeServer,
  handMadeServer,
  now,
  startProcess,
} from '../../test/support/hand-made-cache.ts';
import { type Incarnation, type IncarnationOptions } from './incarnation.ts';
import { STATE_VALID_MS } from './cache-state.ts';
import { createMemoryCache } from './memory.ts';

const OTHER_GENERATION = 2;
/** How often a process polls, how long it does not ask a server that failed, and how long it holds off an unreachable cache. */
const [ASK_MS, ALONE_MS, HOLD_MS] = [250, 1_000, 3_000];

const pass = (ms: number) => jest.advanceTimersByTimeAsync(ms);

const running: Incarnation[] = [];
beforeEach(() => void jest.useFakeTimers({ now: 1_000_000 }));
afterEach(async () => {
  const stopping = running.splice(0).map((each) => each.stop());
  await pass(10_000);
  await Promise.all(stopping);
  jest.useRealTimers();
});

/** A process that has polled once. */
async function start(...args: Parameters<typeof startProcess>): Promise<CacheProcess> {
  const process = startProcess(...args);
  running.push(process.incarnation);
  await pass(0);
  return process;
}

/** A process that has polled for so long that no process can use an older row. */
async function startSettled(more: Partial<IncarnationOptions> = {}, server: HandMadeServer = handMadeServer()) {
  const row = handMadeRow();
  const process = await start(row, server, more);
  await pass(2 * STATE_VALID_MS);
  return { row, server, id: row.state.id, ...process };
}

const mayNot = { mayBegin: () => Promise.resolve(false) };

/** The result after so many milliseconds; undefined when there is none by then. */
async function within<T>(ms: number, work: Promise<T>): Promise<T | undefined> {
  let result: T | undefined;
  void work.then((value) => (result = value));
  await pass(ms);
  return result;
}

describe('beginning an incarnation', () => {
  it('begins one when there is none, and keeps it', async () => {
    const [row, server] = [handMadeRow(), handMadeServer()];
    const { incarnation } = await start(row, server);
    const { id } = row.state;
    const { runId, incarnation: repeated } = await server.identify();
    expect(row.state).toEqual({ id, previous: 'first', on: true, runId, generation: GENERATION });
    expect([repeated, incarnation.activeIncarnation()]).toEqual([id, id]);
    await pass(60_000);
    expect([row.state.id, incarnation.activeIncarnation()]).toEqual([id, id]);
  });

  it('begins one for all processes together', async () => {
    const [row, server] = [handMadeRow(), handMadeServer()];
    const processes = await Promise.all([start(row, server), start(row, server), start(row, server)]);
    await pass(ASK_MS);
    expect(processes.map(({ incarnation }) => incarnation.activeIncarnation())).toEqual(
      processes.map(() => row.state.id),
    );
    expect(row.state.previous).toBe('first');
  });

  it('sets the incarnation at the server before any process can read it in the row', async () => {
    const [row, server] = [handMadeRow(), handMadeServer()];
    const begun: string[] = [];
    const begin = (id: string) => {
      begun.push(id);
      expect(row.state.id).toBe('first');
      return server.begin(id);
    };
    await start(row, { ...server, begin });
    expect(begun).toEqual([row.state.id]);
  });

  it('begins none while the process reads no generation', async () => {
    const [row, server] = [handMadeRow(), handMadeServer()];
    const { incarnation } = await start(row, server, { generation: () => undefined });
    await pass(1_000);
    expect([row.state.id, incarnation.activeIncarnation()]).toEqual(['first', undefined]);
  });

  it('begins none before the generation may be used', async () => {
    const [row, server] = [handMadeRow(), handMadeServer()];
    let may = false;
    const { incarnation } = await start(row, server, { mayBegin: () => Promise.resolve(may) });
    await pass(1_000);
    expect([row.state.id, incarnation.activeIncarnation()]).toEqual(['first', undefined]);
    may = true;
    await pass(ASK_MS);
    expect(incarnation.activeIncarnation()).toBe(row.state.id);
    expect(row.state.on).toBe(true);
  });

  it('begins none in a server that evicts keys, and reports that once', async () => {
    const [row, server] = [handMadeRow(), handMadeServer()];
    server.unfit = 'Redis evicts';
    const { incarnation, reports } = await start(row, server);
    await pass(5_000);
    expect([row.state.id, incarnation.activeIncarnation()]).toEqual(['first', undefined]);
    expect(reports).toEqual(['the cache is not used: Redis evicts']);
    server.unfit = undefined;
    await pass(ASK_MS);
    expect(incarnation.activeIncarnation()).toBe(row.state.id);
  });

  it('begins none while the cache is held off', async () => {
    const { row, id, incarnation } = await startSettled();
    await row.turnOff(id, 10_000);
    await pass(10_000 - ASK_MS);
    expect([row.state.on, incarnation.activeIncarnation()]).toEqual([false, undefined]);
    await pass(2 * ASK_MS);
    expect(incarnation.activeIncarnation()).toBe(row.state.id);
    expect(row.state.on).toBe(true);
  });

  it('begins another one when the server has changed, even if it repeats the old incarnation', async () => {
    const { row, server, id, incarnation } = await startSettled();
    server.restart();
    await server.begin(id);
    expect(incarnation.activeIncarnation()).toBeUndefined();
    await pass(ASK_MS);
    expect(row.state).toMatchObject({ previous: id, on: true, runId: (await server.identify()).runId });
    expect(incarnation.activeIncarnation()).toBe(row.state.id);
  });

  it('begins another one when the same server repeats no incarnation or a different one', async () => {
    const { row, server, id, incarnation } = await startSettled();
    await server.begin('of another process');
    await incarnation.revalidate();
    expect(row.state.previous).toBe(id);
    expect(incarnation.activeIncarnation()).toBe(row.state.id);
    expect((await server.identify()).incarnation).toBe(row.state.id);
  });

  it('begins another one for another generation, once only that one is read', async () => {
    let generation = GENERATION;
    const { row, id, incarnation } = await startSettled({ generation: () => generation });
    generation = OTHER_GENERATION;
    expect(incarnation.activeIncarnation()).toBeUndefined();
    await pass(ASK_MS);
    expect(row.state).toMatchObject({ previous: id, generation: OTHER_GENERATION });
    expect(incarnation.activeIncarnation()).toBe(row.state.id);
  });
});

describe('reading the cache', () => {
  it('is allowed for a second after the row was last asked for', async () => {
    const { row, id, incarnation } = await startSettled();
    const last = now(); // a whole number of polls after the start
    row.lost = true;
    await pass(STATE_VALID_MS - ASK_MS);
    expect(incarnation.activeIncarnation()).toBe(id);
    await pass(last + STATE_VALID_MS - now());
    expect(incarnation.activeIncarnation()).toBe(id);
    await pass(1);
    expect(incarnation.activeIncarnation()).toBeUndefined();
    row.lost = false;
    await pass(ASK_MS);
    expect(incarnation.activeIncarnation()).toBe(id);
  });

  it('is not allowed longer when the query was slow', async () => {
    const { row, id, incarnation } = await startSettled();
    row.slowMs = STATE_VALID_MS - 1;
    const revalidating = incarnation.revalidate();
    await pass(STATE_VALID_MS - 1);
    await revalidating;
    expect(incarnation.activeIncarnation()).toBe(id);
    await pass(2);
    expect(incarnation.activeIncarnation()).toBeUndefined();
  });

  it('ends when the row has another incarnation, or is off', async () => {
    const { row, id, incarnation } = await startSettled();
    row.state = { ...row.state, id: 'elsewhere', previous: id };
    await pass(ASK_MS);
    expect(incarnation.activeIncarnation()).not.toBe(id);
    await row.turnOff(row.state.id, 10_000);
    await pass(ASK_MS);
    expect(incarnation.activeIncarnation()).toBeUndefined();
  });

  it('pauses from a revalidation until the server is verified again', async () => {
    const { id, incarnation } = await startSettled();
    const asking = incarnation.revalidate();
    expect(incarnation.activeIncarnation()).toBeUndefined();
    await asking;
    expect(incarnation.activeIncarnation()).toBe(id);
  });

  it('is not allowed through a connection that broke while the server was identified', async () => {
    const { server, id, incarnation } = await startSettled();
    server.meanwhile = () => {
      server.meanwhile = () => undefined;
      server.reset();
    };
    await incarnation.revalidate();
    expect(incarnation.activeIncarnation()).toBeUndefined();
    await pass(ASK_MS);
    expect(incarnation.activeIncarnation()).toBe(id);
  });

  it('is not allowed through a connection that broke while an incarnation began', async () => {
    const [row, server] = [handMadeRow(), handMadeServer()];
    const begin = async (id: string) => {
      await server.begin(id);
      server.reset();
    };
    const { incarnation } = await start(row, { ...server, begin });
    expect(row.state.on).toBe(true);
    expect(incarnation.activeIncarnation()).toBeUndefined();
    await pass(ASK_MS);
    expect(incarnation.activeIncarnation()).toBe(row.state.id);
  });

  it('counts the time in which it was not allowed', async () => {
    const { server, incarnation, off } = await startSettled();
    expect(off()).toBe(0);
    server.lost = true;
    await incarnation.revalidate();
    await pass(10 * ASK_MS);
    expect(off()).toBe(10 * ASK_MS);
  });
});

describe('a server that fails', () => {
  it('is not asked for a second, then asked again', async () => {
    const { server, id, incarnation } = await startSettled();
    const before = server.identified;
    incarnation.failed(new Error('no answer'));
    expect(incarnation.activeIncarnation()).toBeUndefined();
    await pass(ALONE_MS - ASK_MS);
    await incarnation.revalidate();
    expect(server.identified).toBe(before);
    await pass(2 * ASK_MS);
    expect(server.identified).toBe(before + 1);
    expect(incarnation.activeIncarnation()).toBe(id);
  });

  it('is reported once per outage', async () => {
    const { server, incarnation, reports } = await startSettled();
    expect(reports).toEqual([]);
    server.lost = true;
    incarnation.failed(new Error('no server'));
    await pass(10_000);
    expect(reports).toEqual(['the cache is not used: no server']);
    server.lost = false;
    await pass(2_000);
    incarnation.failed(new Error('no server'));
    expect(reports).toHaveLength(2);
  });

  it('does not end the polling, and neither does a database that fails', async () => {
    const { row, server, incarnation, reports } = await startSettled();
    [server.lost, row.lost] = [true, true];
    server.reset();
    await pass(10_000);
    expect(reports).toEqual(['the cache is not used: no database']);
    [server.lost, row.lost] = [false, false];
    await pass(ASK_MS);
    expect(incarnation.activeIncarnation()).toBe(row.state.id);
  });
});

describe('a process that writes', () => {
  it('waits at the start until no process can use an older row', async () => {
    const row = handMadeRow();
    const { incarnation } = await start(row, handMadeServer());
    const settled = incarnation.awaitSettled(GENERATION);
    expect(await within(STATE_VALID_MS - 1, settled)).toBeUndefined();
    expect(await within(1, settled)).toEqual({ id: row.state.id, marks: true });
  });

  it('does not wait when it is the only process', async () => {
    const row = handMadeRow();
    const { incarnation } = await start(row, handMadeServer(), { isExclusive: true });
    expect(await within(0, incarnation.awaitSettled(GENERATION))).toEqual({ id: row.state.id, marks: true });
  });

  it('waits after the cache was turned off, and after one incarnation replaced another', async () => {
    for (const on of [false, true]) {
      const { row, id, incarnation } = await startSettled(mayNot);
      row.state = { ...row.state, id: `${id}, on`, previous: id, on: true };
      await pass(2 * STATE_VALID_MS);
      row.state = { ...row.state, id: 'another', previous: `${id}, on`, on };
      await pass(ASK_MS);
      const settled = incarnation.awaitSettled(GENERATION);
      expect(await within(STATE_VALID_MS - 1, settled)).toBeUndefined();
      expect(await within(STATE_VALID_MS + 1, settled)).toMatchObject({ marks: false });
    }
  });

  it('does not wait after the cache was turned on', async () => {
    const { row, server, id, incarnation } = await startSettled(mayNot);
    await server.begin('second');
    row.state = {
      id: 'second',
      previous: id,
      on: true,
      runId: (await server.identify()).runId,
      generation: GENERATION,
    };
    await pass(ASK_MS);
    expect(await within(0, incarnation.awaitSettled(GENERATION))).toEqual({ id: 'second', marks: true });
  });

  it('waits when it has missed a row between two', async () => {
    const { row, server, incarnation } = await startSettled(mayNot);
    await server.begin('third');
    row.state = {
      id: 'third',
      previous: 'second',
      on: true,
      runId: (await server.identify()).runId,
      generation: GENERATION,
    };
    await pass(ASK_MS);
    const settled = incarnation.awaitSettled(GENERATION);
    expect(await within(STATE_VALID_MS - 1, settled)).toBeUndefined();
    expect(await within(1, settled)).toEqual({ id: 'third', marks: true });
  });

  it('marks nothing while the cache is off, or belongs to another generation', async () => {
    const { id, incarnation } = await startSettled();
    expect(await incarnation.awaitSettled(OTHER_GENERATION)).toEqual({ id, marks: false });
    const off = await startSettled(mayNot);
    expect(await off.incarnation.awaitSettled(GENERATION)).toEqual({ id: 'first', marks: false });
  });

  it('turns off a cache whose server is not the one it reaches, and goes on before another process turns it on', async () => {
    const row = handMadeRow();
    const reader = await start(row, handMadeServer());
    const { incarnation } = await start(row, handMadeServer(), { generation: () => undefined });
    await pass(2 * STATE_VALID_MS);
    const { id } = row.state;
    expect(reader.incarnation.activeIncarnation()).toBe(id);
    const settled = incarnation.awaitSettled(GENERATION);
    expect(await within(STATE_VALID_MS - 1, settled)).toBeUndefined();
    expect(await within(1, settled)).toEqual({ id: row.state.id, marks: false });
    expect(row.state).toMatchObject({ previous: id, on: false });
  });

  it('goes on when readers reach different servers', async () => {
    const row = handMadeRow();
    const { incarnation } = await start(row, handMadeServer());
    await start(row, handMadeServer());
    for (let round = 0; round < 10; round += 1)
      expect(await within(4 * STATE_VALID_MS, incarnation.awaitSettled(GENERATION))).toBeDefined();
  });

  it('turns off a cache that it cannot reach, and holds it off for as long as the outage lasts', async () => {
    const memory = createMemoryCache({ now });
    const { row, server, id, incarnation } = await startSettled({}, handMadeServer(memory));
    server.lost = true;
    server.reset();
    const settled = incarnation.awaitSettled(GENERATION);
    expect(await within(STATE_VALID_MS - 1, settled)).toBeUndefined();
    expect(row.state).toMatchObject({ previous: id, on: false });
    expect(await within(1, settled)).toEqual({ id: row.state.id, marks: false });
    const other = await start(row, handMadeServer(memory));
    await pass(60_000);
    expect([row.state.on, other.incarnation.activeIncarnation()]).toEqual([false, undefined]);
    server.lost = false;
    await pass(ALONE_MS + HOLD_MS);
    expect([incarnation, other.incarnation].map((each) => each.activeIncarnation())).toEqual([
      row.state.id,
      row.state.id,
    ]);
  });

  it('holds off a cache that it failed to mark', async () => {
    const memory = createMemoryCache({ now });
    const { row, id, incarnation } = await startSettled({}, handMadeServer(memory));
    await start(row, handMadeServer(memory));
    incarnation.failed(new Error('no answer'));
    await incarnation.turnOff(id);
    await pass(HOLD_MS - ASK_MS);
    expect(row.state).toMatchObject({ previous: id, on: false });
    await pass(2 * ASK_MS);
    expect(incarnation.activeIncarnation()).toBe(row.state.id);
  });

  it('turns off only the incarnation that it was told to', async () => {
    const { row, id, incarnation } = await startSettled();
    await incarnation.turnOff('another');
    expect([row.state.id, incarnation.activeIncarnation()]).toEqual([id, id]);
    await row.turnOff(id, 10_000);
    await incarnation.turnOff(id);
    expect(row.state).toMatchObject({ previous: id, on: false });
    expect(incarnation.activeIncarnation()).toBeUndefined();
  });

  it('goes on at once with another incarnation when the server was reachable', async () => {
    const { row, id, incarnation } = await startSettled();
    await incarnation.turnOff(id);
    await pass(ASK_MS);
    expect(row.state.on).toBe(true);
    expect(incarnation.activeIncarnation()).toBe(row.state.id);
    expect(row.state.id).not.toBe(id);
  });

  it('gets an error when the row cannot be read', async () => {
    const row = handMadeRow();
    row.lost = true;
    const { incarnation } = await start(row, handMadeServer());
    await expect(incarnation.awaitSettled(GENERATION)).rejects.toThrow('It is not known whether anything is cached.');
    expect(incarnation.databaseTime()).toBe(-Infinity);
  });

  it('returns a time that the database clock has reached', async () => {
    const { row, incarnation } = await startSettled();
    expect(incarnation.databaseTime()).toBe(now() + AHEAD_MS);
    row.slowMs = 100;
    const revalidating = incarnation.revalidate();
    await pass(100);
    await revalidating;
    expect(incarnation.databaseTime()).toBe(now() + AHEAD_MS - 100);
  });
});

it('stops polling when it is stopped', async () => {
  const { row, incarnation } = await startSettled();
  const stopped = incarnation.stop();
  await pass(ASK_MS);
  await stopped;
  const { reads } = row;
  await pass(10_000);
  expect(row.reads).toBe(reads);
});
