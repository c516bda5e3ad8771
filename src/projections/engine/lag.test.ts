import { expect, test } from '@jest/globals';
import { LagWatch } from './lag.ts';

const where = { topic: 'catalog', partition: 0 };
const ALARM_MS = 30_000;

/** The health that a watch shows after it measured once a second, at the positions that `standing` gives for each second. */
function after(seconds: number, standing: (second: number) => { next: number; end: number; stopped?: string }) {
  let now = 0;
  const watch = new LagWatch([where], ALARM_MS, () => now);
  for (let second = 0; second <= seconds; second++) {
    now = second * 1_000;
    const { next, end, stopped = null } = standing(second);
    watch.measure([{ ...where, next, stopped }], [{ ...where, offset: end }]);
  }
  return watch.health()[0];
}

test('shows a partition before the first measurement', () => {
  const watch = new LagWatch([where], ALARM_MS);
  expect(watch.health()).toEqual([{ partition: 'catalog/0', stopped: undefined, lag: 0, stuckMs: 0, alarm: false }]);
});

test('counts the waiting records, and the time since one was last applied', () => {
  expect(after(5, (second) => ({ next: Math.min(second, 2), end: 10 }))).toMatchObject({ lag: 8, stuckMs: 3_000 });
});

test('is not stuck while nothing waits', () => {
  expect(after(60, () => ({ next: 10, end: 10 }))).toMatchObject({ lag: 0, stuckMs: 0, alarm: false });
});

test('shows no negative lag when the end was read before the checkpoint', () => {
  expect(after(1, () => ({ next: 11, end: 10 }))).toMatchObject({ lag: 0 });
});

test('shows why a partition is stopped until it goes on', () => {
  expect(after(1, () => ({ next: 1, end: 2, stopped: 'a gap' }))).toMatchObject({ stopped: 'a gap' });
  expect(after(1, (second) => ({ next: 1, end: 2, stopped: second === 0 ? 'a gap' : undefined }))).toMatchObject({
    stopped: undefined,
  });
});

test('ignores partitions of other topics', () => {
  const watch = new LagWatch([where], ALARM_MS);
  const other = { topic: 'jobs', partition: 0 };
  watch.measure([{ ...other, next: 0, stopped: null }], [{ ...other, offset: 5 }]);
  expect(watch.health()).toHaveLength(1);
});

test.each([
  ['stands still', () => ({ next: 5, end: 6 })],
  ['stands still while more is written', (second: number) => ({ next: 5, end: 6 + second })],
  ['is applied more slowly than it is written', (second: number) => ({ next: second, end: 100 + 2 * second })],
  ['grows with ups and downs', (second: number) => ({ next: second, end: 100 + 2 * second + (second % 3) })],
])('raises the alarm when a lag that %s reaches the age of the alarm', (_, standing) => {
  expect(after(29, standing)?.alarm).toBe(false);
  expect(after(30, standing)?.alarm).toBe(true);
  expect(after(300, standing)?.alarm).toBe(true);
});

test.each([
  ['shrinks', (second: number) => ({ next: 10 * second, end: 100_000 + second })],
  ['is always there but always young', (second: number) => ({ next: 10 * second, end: 10 * second + 7 })],
  ['varies under load', (second: number) => ({ next: 10 * second, end: 10 * second + (second % 9) })],
])('raises no alarm for a lag that %s', (_, standing) => {
  for (let seconds = 0; seconds < 120; seconds++) expect(after(seconds, standing)?.alarm).toBe(false);
});

test('ends the alarm when the lag shrinks', () => {
  expect(after(60, (second) => ({ next: second < 60 ? 0 : 1, end: 100 }))?.alarm).toBe(false);
});

test('remembers no more measurements than the alarm needs', () => {
  expect(after(90, (second) => ({ next: second < 31 ? 0 : 100, end: 100 }))?.alarm).toBe(false);
});
