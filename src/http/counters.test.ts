import { afterEach, expect, it, jest } from '@jest/globals';
import { LocalCounters } from './counters.ts';

afterEach(() => void jest.restoreAllMocks());

const MAX = 3;
const WINDOW_MS = 60_000;

function count(counters: LocalCounters, key: string, how: 'incr' | 'read' = 'incr'): number | undefined {
  let current: number | undefined;
  counters[how](key, (_, result) => (current = result?.current), WINDOW_MS, MAX);
  return current;
}

it('keeps the counter of a blocked sender, however many others come', () => {
  const counters = new LocalCounters();
  for (let time = 0; time < MAX; time++) count(counters, 'blocked');
  for (let n = 0; n < 50_000; n++) count(counters, `other ${n}`);
  expect([count(counters, 'blocked', 'read'), count(counters, 'other 0', 'read')]).toEqual([MAX, 0]);
});

it('has a capacity: of blocked senders only, it evicts the one that was counted longest ago', () => {
  const counters = new LocalCounters({ capacity: 10 });
  for (let n = 0; n < 11; n++) for (let time = 0; time < MAX; time++) count(counters, `blocked ${n}`);
  const left = Array.from({ length: 11 }, (_, n) => count(counters, `blocked ${n}`, 'read'));
  expect(left).toEqual([0, ...Array<number>(10).fill(MAX)]);
});

it('evicts a blocked sender whose time is over first', () => {
  const clock = jest.spyOn(Date, 'now').mockReturnValue(0);
  const counters = new LocalCounters({ capacity: 2 });
  for (let time = 0; time < MAX; time++) count(counters, 'blocked');
  clock.mockReturnValue(WINDOW_MS);
  for (const key of ['one', 'other']) count(counters, key);
  expect(['blocked', 'one', 'other'].map((key) => count(counters, key, 'read'))).toEqual([0, 1, 1]);
});
