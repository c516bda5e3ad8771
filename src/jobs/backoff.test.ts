import { afterEach, expect, it, jest } from '@jest/globals';
import { backoffMs, pausesOfJob, refusalBounds } from './backoff.ts';

const pauses = { firstMs: 1_000, maxMs: 60_000 };

afterEach(() => void jest.restoreAllMocks());

it.each([
  [1, 1_000],
  [2, 2_000],
  [6, 32_000],
  [7, 60_000],
  [500, 60_000],
])('after %d failed attempts the pause is at most %d ms', (failed, most) => {
  const random = jest.spyOn(Math, 'random');
  expect([0, 0.5, 1].map((part) => (random.mockReturnValue(part), backoffMs(pauses, failed)))).toEqual([
    0,
    most / 2,
    most,
  ]);
});

it('jobs that failed together do not come back together', () => {
  const times = Array.from({ length: 100 }, () => backoffMs(pauses, 3));
  expect(new Set(times).size).toBe(100);
  expect(times.every((ms) => ms >= 0 && ms < 4_000)).toBe(true);
});

it('is always the same for fixed, and zero for none', () => {
  expect([1, 9].map((failed) => backoffMs({ ...pauses, strategy: 'fixed' }, failed))).toEqual([1_000, 1_000]);
  expect([1, 9].map((failed) => backoffMs({ ...pauses, strategy: 'none' }, failed))).toEqual([0, 0]);
});

it.each([
  ['fixed', 'fixed'],
  ['none', 'none'],
  ['exponential', 'exponential'],
  ['fibonacci', 'exponential'],
])('the strategy %s of an event means %s', (said, strategy) => {
  expect(pausesOfJob({ strategy: said, firstMs: 1, maxMs: 2 })).toEqual({ strategy, firstMs: 1, maxMs: 2 });
});

it.each([
  [1, 1],
  [2, 5],
  [3, 15],
  [4, 30],
  [5, 60],
  [6, 60],
  [50, 60],
])('after %d refusals of a recipient the pause is %d minutes, and up to a fifth more', (refusals, minutes) => {
  const { minMs, maxMs } = refusalBounds(refusals);
  expect([minMs / 60_000, maxMs / 60_000]).toEqual([minutes, expect.closeTo(minutes * 1.2)]);
});
