import { afterEach, expect, it, jest } from '@jest/globals';
import { backoffMs } from './backoff.ts';

const pauses = { firstMs: 1_000, mostMs: 60_000 };

afterEach(() => void jest.restoreAllMocks());

it.each([
  [1, 1_000],
  [2, 2_000],
  [6, 32_000],
  [7, 60_000],
  [500, 60_000],
])('after %d failed attempts it is anything up to %d ms', (failed, most) => {
  const random = jest.spyOn(Math, 'random');
  expect([0, 0.5, 1].map((part) => (random.mockReturnValue(part), backoffMs(pauses, failed)))).toEqual([
    0,
    most / 2,
    most,
  ]);
});

it('those who failed together do not come back together', () => {
  const times = Array.from({ length: 100 }, () => backoffMs(pauses, 3));
  expect(new Set(times).size).toBe(100);
  expect(times.every((ms) => ms >= 0 && ms < 4_000)).toBe(true);
});

it('is always the same, or nothing, for those who want that', () => {
  expect([1, 9].map((failed) => backoffMs(pauses, failed, 'fixed'))).toEqual([1_000, 1_000]);
  expect([1, 9].map((failed) => backoffMs(pauses, failed, 'none'))).toEqual([0, 0]);
});
