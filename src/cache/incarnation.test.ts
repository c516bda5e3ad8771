import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import {
  AHEAD_MS,
  BUILD,
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

const OTHER_BUILD = 2;
/** How often a process asks, how long it leaves alone a server that failed, and holds off a cache that it cannot reach. */
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

/** A process that has asked once. */
async function start(...args: Parameters<typeof startProcess>): Promise<CacheProcess> {
  const process = startProcess(...args);
  running.push(process.incarnation);
  await pass(0);
  return process;
}

/** A process that has asked for so long that nobody can believe anything older. */
async function startSettled(more: Partial<IncarnationOptions> = {}, server: HandMadeServer = handMadeServer()) {
  const row = handMadeRow();
  const process = await start(row, server, more);
  await pass(2 * STATE_VALID_MS);
  return { row, server, id: row.state.id, ...process };
}

const mayNot = { mayBegin: () => Promise.resolve(false) };

/** What it gives in so many milliseconds; undefined when it has not come by then. */
async function within<T>(ms: number, work: Promise<T>): Promise<T | undefined> {
  let result: T | undefined;
  void work.then((value) => (result = value));
  await pass(ms);
  return result;
}

describe('an incarnation begins', () => {
  it('when there is none, and stays', async () => {
    const [row, server] = [handMadeRow(), handMadeServer()];
    const { incarnation } = await start(row, server);
    const { id } = row.state;
    const { runId, incarnation: repeated } = await server.identify();
    expect(row.state).toEqual({ id, previous: 'first', on: true, runId, generation: BUILD });
    expect([repeated, incarnation.activeIncarnation()]).toEqual([id, id]);
    await pass(60_000);
    expect([row.state.id, incarnation.activeIncarnation()]).toEqual([id, id]);
  });

  it('once for all processes', async () => {
    const [row, server] = [handMadeRow(), handMadeServer()];
    const processes = await Promise.all([start(row, server), start(row, server), start(row, server)]);
    await pass(ASK_MS);
    expect(processes.map(({ incarnation }) => incarnation.activeIncarnation())).toEqual(
      processes.map(() => row.state.id),
    );
    expect(row.state.previous).toBe('first');
  });

  it('at the server before anybody can read of it in the row', async () => {
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

  it('not while the process reads no build', async () => {
    const [row, server] = [handMadeRow(), handMadeServer()];
    const { incarnation } = await start(row, server, { generation: () => undefined });
    await pass(1_000);
    expect([row.state.id, incarnation.activeIncarnation()]).toEqual(['first', undefined]);
  });

  it('not before the build may be used', async () => {
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

  it('not in a server that evicts, which it says once', async () => {
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

  it('not while it is held off', async () => {
    const { row, id, incarnation } = await startSettled();
    await row.turnOff(id, 10_000);
    await pass(10_000 - ASK_MS);
    expect([row.state.on, incarnation.activeIncarnation()]).toEqual([false, undefined]);
    await pass(2 * ASK_MS);
    expect(incarnation.activeIncarnation()).toBe(row.state.id);
    expect(row.state.on).toBe(true);
  });

  it('anew when the server is another one, though it repeats the old one', async () => {
    const { row, server, id, incarnation } = await startSettled();
    server.restart();
    await server.begin(id);
    expect(incarnation.activeIncarnation()).toBeUndefined();
    await pass(ASK_MS);
    expect(row.state).toMatchObject({ previous: id, on: true, runId: (await server.identify()).runId });
    expect(incarnation.activeIncarnation()).toBe(row.state.id);
  });

  it('anew when the server, which is the same, repeats none or another', async () => {
    const { row, server, id, incarnation } = await startSettled();
    await server.begin('of somebody else');
    await incarnation.revalidate();
    expect(row.state.previous).toBe(id);
    expect(incarnation.activeIncarnation()).toBe(row.state.id);
    expect((await server.identify()).incarnation).toBe(row.state.id);
  });

  it('anew for another build, once it is the one that is read', async () => {
    let build = BUILD;
    const { row, id, incarnation } = await startSettled({ generation: () => build });
    build = OTHER_BUILD;
    expect(incarnation.activeIncarnation()).toBeUndefined();
    await pass(ASK_MS);
    expect(row.state).toMatchObject({ previous: id, generation: OTHER_BUILD });
    expect(incarnation.activeIncarnation()).toBe(row.state.id);
  });
});

describe('what is cached is read', () => {
  it('for a second after the last time that the row was asked for', async () => {
    const { row, id, incarnation } = await startSettled();
    const last = now(); // a whole number of questions after the start
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

  it('no longer than that when the question was slow', async () => {
    const { row, id, incarnation } = await startSettled();
    row.slowMs = STATE_VALID_MS - 1;
    const revalidating = incarnation.revalidate();
    await pass(STATE_VALID_MS - 1);
    await revalidating;
    expect(incarnation.activeIncarnation()).toBe(id);
    await pass(2);
    expect(incarnation.activeIncarnation()).toBeUndefined();
  });

  it('not once the row says another one, or off', async () => {
    const { row, id, incarnation } = await startSettled();
    row.state = { ...row.state, id: 'elsewhere', previous: id };
    await pass(ASK_MS);
    expect(incarnation.activeIncarnation()).not.toBe(id);
    await row.turnOff(row.state.id, 10_000);
    await pass(ASK_MS);
    expect(incarnation.activeIncarnation()).toBeUndefined();
  });

  it('not from a revalidating on until it is known again', async () => {
    const { id, incarnation } = await startSettled();
    const asking = incarnation.revalidate();
    expect(incarnation.activeIncarnation()).toBeUndefined();
    await asking;
    expect(incarnation.activeIncarnation()).toBe(id);
  });

  it('not through a connection that broke while the server was asked', async () => {
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

  it('not through a connection that broke while an incarnation began', async () => {
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

  it('or it is counted for how long it was not', async () => {
    const { server, incarnation, off } = await startSettled();
    expect(off()).toBe(0);
    server.lost = true;
    await incarnation.revalidate();
    await pass(10 * ASK_MS);
    expect(off()).toBe(10 * ASK_MS);
  });
});

describe('a server that fails', () => {
  it('is left alone for a second, then asked again', async () => {
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

  it('is spoken of once, for as long as it is not there', async () => {
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

  it('does not end the asking, nor does a database that fails', async () => {
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

describe('who writes', () => {
  it('waits at the start until nobody can believe an older row', async () => {
    const row = handMadeRow();
    const { incarnation } = await start(row, handMadeServer());
    const settled = incarnation.awaitSettled(BUILD);
    expect(await within(STATE_VALID_MS - 1, settled)).toBeUndefined();
    expect(await within(1, settled)).toEqual({ id: row.state.id, marks: true });
  });

  it('waits for nobody who is alone', async () => {
    const row = handMadeRow();
    const { incarnation } = await start(row, handMadeServer(), { alone: true });
    expect(await within(0, incarnation.awaitSettled(BUILD))).toEqual({ id: row.state.id, marks: true });
  });

  it('waits after a cache was turned off, and after one took the place of another', async () => {
    for (const on of [false, true]) {
      const { row, id, incarnation } = await startSettled(mayNot);
      row.state = { ...row.state, id: `${id}, on`, previous: id, on: true };
      await pass(2 * STATE_VALID_MS);
      row.state = { ...row.state, id: 'another', previous: `${id}, on`, on };
      await pass(ASK_MS);
      const settled = incarnation.awaitSettled(BUILD);
      expect(await within(STATE_VALID_MS - 1, settled)).toBeUndefined();
      expect(await within(STATE_VALID_MS + 1, settled)).toMatchObject({ marks: false });
    }
  });

  it('does not wait after a cache was turned on that was off', async () => {
    const { row, server, id, incarnation } = await startSettled(mayNot);
    await server.begin('second');
    row.state = { id: 'second', previous: id, on: true, runId: (await server.identify()).runId, generation: BUILD };
    await pass(ASK_MS);
    expect(await within(0, incarnation.awaitSettled(BUILD))).toEqual({ id: 'second', marks: true });
  });

  it('waits when it does not know what was between two rows', async () => {
    const { row, server, incarnation } = await startSettled(mayNot);
    await server.begin('third');
    row.state = {
      id: 'third',
      previous: 'second',
      on: true,
      runId: (await server.identify()).runId,
      generation: BUILD,
    };
    await pass(ASK_MS);
    const settled = incarnation.awaitSettled(BUILD);
    expect(await within(STATE_VALID_MS - 1, settled)).toBeUndefined();
    expect(await within(1, settled)).toEqual({ id: 'third', marks: true });
  });

  it('marks nothing while the cache is off, or is of another build', async () => {
    const { id, incarnation } = await startSettled();
    expect(await incarnation.awaitSettled(OTHER_BUILD)).toEqual({ id, marks: false });
    const off = await startSettled(mayNot);
    expect(await off.incarnation.awaitSettled(BUILD)).toEqual({ id: 'first', marks: false });
  });

  it('turns off a cache whose server is not the one it reaches, and goes on before somebody turns it on', async () => {
    const row = handMadeRow();
    const reader = await start(row, handMadeServer());
    const { incarnation } = await start(row, handMadeServer(), { generation: () => undefined });
    await pass(2 * STATE_VALID_MS);
    const { id } = row.state;
    expect(reader.incarnation.activeIncarnation()).toBe(id);
    const settled = incarnation.awaitSettled(BUILD);
    expect(await within(STATE_VALID_MS - 1, settled)).toBeUndefined();
    expect(await within(1, settled)).toEqual({ id: row.state.id, marks: false });
    expect(row.state).toMatchObject({ previous: id, on: false });
  });

  it('goes on when those who read reach different servers', async () => {
    const row = handMadeRow();
    const { incarnation } = await start(row, handMadeServer());
    await start(row, handMadeServer());
    for (let round = 0; round < 10; round += 1)
      expect(await within(4 * STATE_VALID_MS, incarnation.awaitSettled(BUILD))).toBeDefined();
  });

  it('turns off a cache that it cannot reach, and holds it off for as long as that lasts', async () => {
    const memory = createMemoryCache({ now });
    const { row, server, id, incarnation } = await startSettled({}, handMadeServer(memory));
    server.lost = true;
    server.reset();
    const settled = incarnation.awaitSettled(BUILD);
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

  it('turns off nothing but what it was told', async () => {
    const { row, id, incarnation } = await startSettled();
    await incarnation.turnOff('another');
    expect([row.state.id, incarnation.activeIncarnation()]).toEqual([id, id]);
    await row.turnOff(id, 10_000);
    await incarnation.turnOff(id);
    expect(row.state).toMatchObject({ previous: id, on: false });
    expect(incarnation.activeIncarnation()).toBeUndefined();
  });

  it('goes on at once with another incarnation when the server was there', async () => {
    const { row, id, incarnation } = await startSettled();
    await incarnation.turnOff(id);
    await pass(ASK_MS);
    expect(row.state.on).toBe(true);
    expect(incarnation.activeIncarnation()).toBe(row.state.id);
    expect(row.state.id).not.toBe(id);
  });

  it('is told when the row cannot be read', async () => {
    const row = handMadeRow();
    row.lost = true;
    const { incarnation } = await start(row, handMadeServer());
    await expect(incarnation.awaitSettled(BUILD)).rejects.toThrow('It is not known whether anything is cached.');
    expect(incarnation.databaseTime()).toBe(-Infinity);
  });

  it('knows a time that the database has had', async () => {
    const { row, incarnation } = await startSettled();
    expect(incarnation.databaseTime()).toBe(now() + AHEAD_MS);
    row.slowMs = 100;
    const revalidating = incarnation.revalidate();
    await pass(100);
    await revalidating;
    expect(incarnation.databaseTime()).toBe(now() + AHEAD_MS - 100);
  });
});

it('a process that stops asks no more', async () => {
  const { row, incarnation } = await startSettled();
  const stopped = incarnation.stop();
  await pass(ASK_MS);
  await stopped;
  const { reads } = row;
  await pass(10_000);
  expect(row.reads).toBe(reads);
});
