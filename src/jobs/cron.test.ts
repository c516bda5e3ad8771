import { describe, expect, it } from '@jest/globals';
import { faultOf, nextTime } from './cron.ts';

/** The next times, without seconds. */
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
    'several times that are left out come once, together',
    ...['0,30 2 28 3 *', BERLIN, '2026-12-01T00:00:00Z'],
    ['2027-03-28T01:00', '2028-03-28T00:00', '2028-03-28T00:30'],
  ] as Case,
  [
    'and so they do west of Greenwich',
    ...['15,45 2 14 3 *', 'America/New_York', '2026-12-01T00:00:00Z'],
    ['2027-03-14T07:00', '2028-03-14T06:15', '2028-03-14T06:45'],
  ] as Case,
  [
    'and in the hour after a midnight that is left out too',
    ...['0,30 0 5 9 *', 'America/Santiago', '2026-12-01T00:00:00Z'],
    ['2027-09-05T04:00', '2028-09-05T03:00', '2028-09-05T03:30'],
  ] as Case,
  [
    'times that are left out come with the one right after them, as one',
    ...['0,30 2,3 * * *', BERLIN, '2027-03-27T12:00:00Z'],
    ['2027-03-28T01:00', '2027-03-28T01:30', '2027-03-29T00:00'],
  ] as Case,
  [
    'one of two times of day is left out, and comes all the same',
    ...['30 2,14 * * *', BERLIN, '2027-03-27T13:30:00Z'],
    ['2027-03-28T01:00', '2027-03-28T12:30', '2027-03-29T00:30'],
  ] as Case,
  [
    'one of two times of day is repeated, and comes once',
    ...['30 2,14 * * *', BERLIN, '2027-10-30T12:30:00Z'],
    ['2027-10-31T00:30', '2027-10-31T13:30', '2027-11-01T01:30'],
  ] as Case,
  [
    'a range of hours without a wildcard comes once for each of them',
    ...['0 1-5 * * *', BERLIN, '2027-10-30T12:00:00Z'],
    ['2027-10-30T23:00', '2027-10-31T00:00', '2027-10-31T02:00', '2027-10-31T03:00', '2027-10-31T04:00'],
  ] as Case,
  [
    'a range with steps is no wildcard',
    ...['0-59/30 2 * * *', BERLIN, '2027-03-27T12:00:00Z'],
    ['2027-03-28T01:00', '2027-03-29T00:00', '2027-03-29T00:30'],
  ] as Case,
  [
    'a wildcard of minutes in an hour that is left out does not come',
    ...['*/30 2 * * *', BERLIN, '2027-03-27T12:00:00Z'],
    ['2027-03-29T00:00', '2027-03-29T00:30'],
  ] as Case,
  [
    'a wildcard of minutes in an hour that is repeated comes in both',
    ...['?/30 2 * * *', BERLIN, '2027-10-30T12:00:00Z'],
    ['2027-10-31T00:00', '2027-10-31T00:30', '2027-10-31T01:00', '2027-10-31T01:30', '2027-11-01T01:00'],
  ] as Case,
  [
    'wildcards of days go by the clock',
    ...['30 2 * * SUN', BERLIN, '2027-03-22T00:00:00Z'],
    ['2027-03-28T01:00', '2027-04-04T00:30'],
  ] as Case,
  [
    'the last half hour of a day that is left out comes when the next one begins',
    ...['30 23 * * *', 'America/Nuuk', '2027-03-26T12:00:00Z'],
    ['2027-03-27T01:30', '2027-03-28T01:00', '2027-03-29T00:30'],
  ] as Case,
  [
    'a whole day that is left out comes when the next one begins',
    ...['0,30 9-17 30 12 *', 'Pacific/Apia', '2011-12-01T00:00:00Z'],
    ['2011-12-30T10:00', '2012-12-29T19:00'],
  ] as Case,
  [
    'half an hour is left out',
    ...['0,15 2 * * *', 'Australia/Lord_Howe', '2027-10-02T00:00:00Z'],
    ['2027-10-02T15:30', '2027-10-03T15:00', '2027-10-03T15:15'],
  ] as Case,
  [
    'half an hour is repeated',
    ...['45 1 * * *', 'Australia/Lord_Howe', '2027-04-03T00:00:00Z'],
    ['2027-04-03T14:45', '2027-04-04T15:15'],
  ] as Case,
  [
    'two hours are left out',
    ...['0 1,2,3 * * *', 'Antarctica/Troll', '2027-03-27T12:00:00Z'],
    ['2027-03-28T01:00', '2027-03-28T23:00', '2027-03-29T00:00'],
  ] as Case,
  [
    'the clocks of Ramadan',
    ...['30 2 * * *', 'Africa/Casablanca', '2026-02-14T00:00:00Z'],
    ['2026-02-14T01:30', '2026-02-15T01:30', '2026-02-16T02:30'],
  ] as Case,
  [
    'midnight that is left out where days begin at one',
    ...['0 0 * * *', 'Asia/Beirut', '2027-03-27T12:00:00Z'],
    ['2027-03-27T22:00', '2027-03-28T21:00'],
  ] as Case,
  [
    'midnight that is left out on the last Friday of April',
    ...['0 0 * * *', 'Africa/Cairo', '2027-04-29T12:00:00Z'],
    ['2027-04-29T22:00', '2027-04-30T21:00'],
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

it('reads seconds from the first of six fields', () => {
  const first = nextTime('*/30 * * * * *', 'Asia/Jakarta', new Date('2026-03-29T00:59:00Z'));
  expect(first?.toISOString()).toBe('2026-03-29T00:59:30.000Z');
});

it.each([
  [
    'that are left out come once',
    '*/20 0,30 2 * * *',
    '2027-03-28T00:59:00Z',
    ['2027-03-28T01:00:00', '2027-03-29T00:00:00'],
  ],
  [
    'that are repeated come the first time',
    '0,20 59 2 * * *',
    '2027-10-31T00:59:10Z',
    ['2027-10-31T00:59:20', '2027-11-01T01:59:00'],
  ],
])('seconds %s', (_, cron, after, times) => {
  const first = nextTime(cron, BERLIN, new Date(after));
  const second = first && nextTime(cron, BERLIN, first);
  expect([first, second].map((time) => time?.toISOString().slice(0, 19))).toEqual(times);
});

it('goes on by the clock after a time in an hour that has come twice', () => {
  const again = new Date('2027-10-31T01:15:00Z');
  expect(nextTime('30 2 * * *', BERLIN, again)?.toISOString()).toBe('2027-11-01T01:30:00.000Z');
  expect(nextTime('30 * * * *', BERLIN, again)?.toISOString()).toBe('2027-10-31T01:30:00.000Z');
});

it('never returns the time itself', () => {
  const time = new Date('2026-03-29T09:00:00.000Z');
  expect(nextTime('0 9 * * *', 'UTC', time)?.toISOString()).toBe('2026-03-30T09:00:00.000Z');
  expect(nextTime('0 9 * * *', 'UTC', new Date(time.getTime() - 1))).toEqual(time);
});

describe('a repeat', () => {
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
  ])('rejects the expression %j', (cron) => expect(faultOf(cron, 'UTC', now)).toBe('cron'));
  it('has no further time when an earlier version accepted a longer expression', () => {
    expect(nextTime(`0${',0-59'.repeat(40)} * * * * *`, 'UTC', now)).toBeUndefined();
    expect(nextTime(`0${',0-59'.repeat(36)} * * * * *`, 'UTC', now)).toBeDefined();
  });

  it.each(['', 'Nowhere/At', 'Europe'])('rejects the time zone %j', (timeZone) =>
    expect(faultOf('* * * * *', timeZone, now)).toBe('timeZone'),
  );
  it.each([
    ['* * * * *', 'UTC'],
    [' 0  9 * * MON-FRI ', BERLIN],
    ['0 0 29 2 *', 'europe/berlin'],
  ])('accepts %j in %s', (cron, timeZone) => expect(faultOf(cron, timeZone, now)).toBeUndefined());
});
