import { describe, expect, it } from '@jest/globals';
import { faultOf, nextTime } from './cron.ts';

/** So many times after one another, without seconds. */
function timesOf(cron: string, timeZone: string, after: string, count: number): string[] {
  const times: string[] = [];
  let last: Date | undefined = new Date(after);
  while (times.length < count && (last = nextTime(cron, timeZone, last))) times.push(last.toISOString().slice(0, 16));
  return times;
}

const BERLIN = 'Europe/Berlin';
type Case = [string, string, string, string, string[]];

it.each<Case>([
  [
    'a time of day that the change of clocks leaves out comes when it is over, once',
    ...['30 2 * * *', BERLIN, '2026-03-27T12:00:00Z'],
    ['2026-03-28T01:30', '2026-03-29T01:00', '2026-03-30T00:30'],
  ] as Case,
  [
    'a time of day that the change of clocks repeats comes once',
    ...['30 2 * * *', BERLIN, '2026-10-23T12:00:00Z'],
    ['2026-10-24T00:30', '2026-10-25T00:30', '2026-10-26T01:30'],
  ] as Case,
  [
    'every hour comes every hour when the clocks go forward',
    ...['30 * * * *', BERLIN, '2026-03-28T23:45:00Z'],
    ['2026-03-29T00:30', '2026-03-29T01:30', '2026-03-29T02:30'],
  ] as Case,
  [
    'every hour comes every hour when the clocks go back',
    ...['30 * * * *', BERLIN, '2026-10-24T23:00:00Z'],
    ['2026-10-24T23:30', '2026-10-25T00:30', '2026-10-25T01:30', '2026-10-25T02:30'],
  ] as Case,
  [
    'midnight that the change of clocks leaves out comes an hour later',
    ...['0 0 * * *', 'America/Sao_Paulo', '2018-11-03T12:00:00Z'],
    ['2018-11-04T03:00', '2018-11-05T02:00'],
  ] as Case,
  [
    'a zone without changes',
    ...['0 9 * * 1', 'Asia/Jakarta', '2026-03-29T00:00:00Z'],
    ['2026-03-30T02:00', '2026-04-06T02:00'],
  ] as Case,
  ['leap days', '0 0 29 2 *', 'UTC', '2026-03-01T00:00:00Z', ['2028-02-29T00:00', '2032-02-29T00:00']],
  ['the 31st', '0 12 31 * *', 'UTC', '2026-03-29T00:00:00Z', ['2026-03-31T12:00', '2026-05-31T12:00']],
  ['the last day', '0 0 L * *', 'UTC', '2026-02-01T00:00:00Z', ['2026-02-28T00:00', '2026-03-31T00:00']],
])('%s', (_, cron, timeZone, after, times) => expect(timesOf(cron, timeZone, after, times.length)).toEqual(times));

it('six fields have seconds first', () => {
  const first = nextTime('*/30 * * * * *', 'Asia/Jakarta', new Date('2026-03-29T00:59:00Z'));
  expect(first?.toISOString()).toBe('2026-03-29T00:59:30.000Z');
});

it('the next time is never the time itself', () => {
  const time = new Date('2026-03-29T09:00:00.000Z');
  expect(nextTime('0 9 * * *', 'UTC', time)?.toISOString()).toBe('2026-03-30T09:00:00.000Z');
  expect(nextTime('0 9 * * *', 'UTC', new Date(time.getTime() - 1))).toEqual(time);
});

describe('what cannot repeat', () => {
  const now = new Date('2026-01-01T00:00:00Z');
  it.each([
    '',
    '* * *',
    '* * * * * * *',
    '* * * * * 2020',
    '99 * * * *',
    'a b c d e',
    '0 0 30 2 *',
    '@daily',
    `0${',0'.repeat(96)} * * * *`,
    '2030-01-01T00:00:00',
    '\0',
  ])('is no expression: %j', (cron) => expect(faultOf(cron, 'UTC', now)).toBe('cron'));
  it('of an earlier version that is too long comes no more', () => {
    expect(nextTime(`0${',0-59'.repeat(40)} * * * * *`, 'UTC', now)).toBeUndefined();
    expect(nextTime(`0${',0-59'.repeat(36)} * * * * *`, 'UTC', now)).toBeDefined();
  });

  it.each(['', 'Nowhere/At', 'Europe'])('is no time zone: %j', (timeZone) =>
    expect(faultOf('* * * * *', timeZone, now)).toBe('timeZone'),
  );
  it.each([
    ['* * * * *', 'UTC'],
    [' 0  9 * * MON-FRI ', BERLIN],
    ['0 0 29 2 *', 'europe/berlin'],
  ])('is not %j in %s', (cron, timeZone) => expect(faultOf(cron, timeZone, now)).toBeUndefined());
});
