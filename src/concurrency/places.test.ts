import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { AppError } from '../errors.ts';
import { type PlaceRequest, createPlaces, type PlacesOptions } from './places.ts';

// Requests that still wait at the end of a test must not be refused after it.
beforeEach(() => void jest.useFakeTimers({ doNotFake: ['setImmediate'] }));
afterEach(() => void jest.useRealTimers());

const full = () => new AppError('unavailable', 'FULL', 'There is no place.');

/** Work that ends when the test says so, and the outcomes in their order. */
function workshop(options: Partial<PlacesOptions> = {}) {
  const places = createPlaces({ all: 1, waiting: 10, waitMs: 60_000, refusal: full, ...options });
  const ends = new Map<string, () => void>();
  const told: string[] = [];
  const begin = (name: string, claim: PlaceRequest): void => {
    const work = () => {
      told.push(name);
      return new Promise<void>((resolve) => ends.set(name, resolve));
    };
    places.within(claim, work).catch((error: unknown) => told.push(`${name} ${(error as AppError).code}`));
  };
  const settle = async () => {
    for (let n = 0; n < 5; n++) await new Promise(setImmediate);
    return told.splice(0);
  };
  async function finish(name: string): Promise<string[]> {
    ends.get(name)?.();
    ends.delete(name);
    return settle();
  }
  /** Ends the work that began first, repeatedly. */
  async function finishAll(): Promise<string[]> {
    const all = await settle();
    for (let [next] = ends.keys(); next !== undefined; [next] = ends.keys()) all.push(...(await finish(next)));
    return all;
  }
  return { places, begin, settle, finish, finishAll };
}

const range = (count: number) => Array.from({ length: count }, (_, n) => n + 1);
const refusedIn = (all: readonly string[], code = 'FULL') =>
  all.filter((each) => each.endsWith(` ${code}`)).map((each) => each.slice(0, -code.length - 1));

describe('places', () => {
  it('are limited for a sender, and in all', async () => {
    const { begin, settle } = workshop({ all: 3, each: 2 });
    for (const n of range(3)) begin(`a ${n}`, { sender: 'a' });
    for (const n of range(2)) begin(`b ${n}`, { sender: 'b' });
    expect(await settle()).toEqual(['a 1', 'a 2', 'b 1']);
  });

  it('go to the first request that may have one, past those whose sender has all of its own', async () => {
    const { begin, finish, settle } = workshop({ all: 3, each: 2 });
    for (const n of range(3)) begin(`a ${n}`, { sender: 'a' });
    for (const n of range(2)) begin(`b ${n}`, { sender: 'b' });
    await settle();
    expect(await finish('b 1')).toEqual(['b 2']);
    expect(await finish('a 1')).toEqual(['a 3']);
  });

  it('are ten times as many for a network as for a sender, but at most half of all', async () => {
    const many = workshop({ all: 50, each: 2 });
    for (const n of range(25)) many.begin(`a ${n}`, { sender: `a ${n}`, network: 'a' });
    many.begin('b', { sender: 'b', network: 'b' });
    expect(await many.settle()).toEqual([...range(20).map((n) => `a ${n}`), 'b']);
    const few = workshop({ all: 6, each: 1 });
    for (const n of range(4)) few.begin(`a ${n}`, { sender: `a ${n}`, network: 'a' });
    few.begin('b', { sender: 'b' });
    expect(await few.settle()).toEqual(['a 1', 'a 2', 'a 3', 'b']); // half of six
  });

  it('are released once, however often release is called, and when the work fails', async () => {
    const { places, begin, settle } = workshop();
    const leave = await places.take({ sender: 'a' });
    for (const n of range(2)) begin(`b ${n}`, { sender: 'b' });
    leave();
    leave();
    expect(await settle()).toEqual(['b 1']);
    const failing = workshop();
    await expect(failing.places.within({ sender: 'a' }, () => Promise.reject(new Error('broken')))).rejects.toThrow(
      'broken',
    );
    failing.begin('b', { sender: 'b' });
    expect(await failing.settle()).toEqual(['b']);
  });
});

describe('requests that wait for a place', () => {
  it('take turns by sender, so that one with many requests delays only its own', async () => {
    const { begin, finishAll } = workshop();
    for (const n of range(4)) begin(`many ${n}`, { sender: 'many' });
    begin('other', { sender: 'other' });
    expect(await finishAll()).toEqual(['many 1', 'many 2', 'other', 'many 3', 'many 4']);
  });

  it('have a turn in each round, also behind a sender that always has a line', async () => {
    const { begin, finish, settle } = workshop({ waiting: 100 });
    for (const n of range(50)) begin(`many ${n}`, { sender: 'many' });
    await settle();
    for (const n of range(20)) await finish(`many ${n}`);
    begin('late', { sender: 'late' });
    expect([await finish('many 21'), await finish('many 22')].flat()).toContain('late');
  });

  it('have ten turns in a round as a network, however many of its addresses ask', async () => {
    const { begin, finishAll } = workshop({ waiting: 100 });
    for (const n of range(31)) begin(`net ${n}`, { sender: `net ${n}`, network: 'net' });
    begin('other', { sender: 'other', network: 'small' });
    const all = await finishAll();
    expect(all.indexOf('other')).toBe(11);
  });

  it('go first when their sender is known, and the others get every fourth turn', async () => {
    const { begin, finishAll } = workshop({ waiting: 20 });
    for (const n of range(3)) begin(`new ${n}`, { sender: `new ${n}` });
    for (const n of range(5)) begin(`known ${n}`, { sender: 'known', isKnown: true });
    expect(await finishAll()).toEqual([
      'new 1',
      'known 1',
      'known 2',
      'known 3',
      'new 2',
      'known 4',
      'known 5',
      'new 3',
    ]);
  });

  it('are limited: the last one of the sender with the longest line is refused', async () => {
    const { begin, finishAll } = workshop({ waiting: 3 });
    for (const n of range(5)) begin(`many ${n}`, { sender: 'many' });
    for (const n of range(2)) begin(`other ${n}`, { sender: 'other' });
    begin('third', { sender: 'third' });
    begin('fourth', { sender: 'fourth' });
    begin('known', { sender: 'many', isKnown: true });
    const all = await finishAll();
    expect(refusedIn(all).sort()).toEqual(['fourth', 'many 3', 'many 4', 'many 5', 'other 2', 'third']);
    expect(all.filter((each) => !each.endsWith('FULL'))).toEqual(['many 1', 'known', 'many 2', 'other 1']);
  });

  it('lose no place to a sender that has all of its own, however many rounds have passed', async () => {
    const { begin, finish, settle } = workshop({ all: 2, each: 1, waiting: 10 });
    begin('slow', { sender: 'many' });
    begin('0', { sender: 'other' });
    for (const n of range(9)) begin(`many ${n}`, { sender: 'many' });
    await settle();
    for (const n of range(20)) {
      begin(`${n}`, { sender: 'other' });
      await finish(`${n - 1}`);
    }
    begin('of others', { sender: 'another' });
    begin('new', { sender: 'new' });
    expect(refusedIn(await settle())).toEqual(['many 9']);
  });

  it('are never refused when it is too late for that', async () => {
    const { places, begin, settle, finish } = workshop({ waiting: 1, waitMs: 20 });
    begin('first', { sender: 'a' });
    begin('has begun', { sender: 'b', mustWait: () => true });
    begin('also', { sender: 'c', mustWait: () => true });
    jest.advanceTimersByTime(1_000);
    await expect(places.take({ sender: 'd' })).rejects.toThrow('There is no place.');
    expect(await settle()).toEqual(['first']);
    expect([await finish('first'), await finish('has begun')].flat()).toEqual(['has begun', 'also']);
  });

  it('lose no place to a network that asks from many addresses', async () => {
    const { begin, finishAll } = workshop({ waiting: 12 });
    begin('runs', { sender: 'runs' });
    for (const n of range(40)) begin(`net ${n}`, { sender: `net ${n}`, network: 'net' });
    begin('other', { sender: 'other', network: 'small' });
    const all = await finishAll();
    expect(refusedIn(all)).not.toContain('other');
    expect(refusedIn(all)).toHaveLength(29);
  });

  it('are refused when no place was free in time', async () => {
    const { places } = workshop({ waitMs: 20 });
    await places.take({ sender: 'a' });
    const waiting = places.take({ sender: 'b' });
    jest.advanceTimersByTime(20);
    await expect(waiting).rejects.toThrow('There is no place.');
  });

  it('are dropped when their client leaves, and get no place when it left before', async () => {
    const { begin, finishAll } = workshop({ waiting: 2 });
    const client = new AbortController();
    begin('first', { sender: 'a' });
    begin('leaves', { sender: 'b', signal: client.signal });
    begin('stays', { sender: 'c' });
    client.abort();
    begin('has left', { sender: 'd', signal: client.signal });
    begin('takes the place', { sender: 'e' });
    const all = await finishAll();
    expect(refusedIn(all, 'CLIENT_LEFT').sort()).toEqual(['has left', 'leaves']);
    expect(all.filter((each) => !each.endsWith('LEFT'))).toEqual(['first', 'stays', 'takes the place']);
  });
});
