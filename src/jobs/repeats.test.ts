import { describe, expect, it } from '@jest/globals';
import { dueOf, type DueRepeat, repeatFrom } from './repeats.ts';

const NOW = new Date('2026-03-02T08:30:00Z');
const utc = (cron: string) => ({ cron, timeZone: 'UTC' });
const user = { seconds: 900, isAdmin: false };
const admin = { seconds: 900, isAdmin: true };

describe('a repeat', () => {
  it('of a user ends after a year and 1,000 times, and of an admin never', () => {
    expect(repeatFrom(utc('0 9 * * *'), user, NOW)).toEqual({
      cron: '0 9 * * *',
      timeZone: 'UTC',
      first: '2026-03-02T09:00:00.000Z',
      missed: 'run-once',
      until: '2027-03-02T08:30:00.000Z',
      count: 1_000,
    });
    expect(repeatFrom(utc('0 9 * * *'), admin, NOW)).toMatchObject({ until: null, count: null });
  });

  it.each([
    ['*/15 * * * *', true],
    ['0,15 9 * * 1', true],
    ['*/14 * * * *', false],
    ['*/16 * * * *', false],
    ['0 0,15 9 * * *', true],
    ['0,30 0 9 * * *', false],
    ['31,32 8 * * 1', false],
    ['0,1 9 1 * *', false],
    ['0,59 0,23 * * 1,2', false],
    ['0,59 0,23 * * 1,3', true],
    ['* * * * * *', false],
  ])('%s of a user is allowed: %s', (cron, isFine) => {
    const repeat = () => repeatFrom(utc(cron), user, NOW);
    if (isFine) expect(repeat).not.toThrow();
    else expect(repeat).toThrow('more often');
    expect(() => repeatFrom(utc(cron), admin, NOW)).not.toThrow();
  });

  it('may come more often where clocks change', () => {
    const asked = { cron: '10,40 2,3 * * *', timeZone: 'Europe/Berlin' };
    const before = new Date('2027-03-27T12:00:00Z');
    expect(repeatFrom(asked, user, before).first).toBe('2027-03-28T01:00:00.000Z');
  });

  it('ends at the given time, at most a year from now', () => {
    const asked = { ...utc('0 9 * * *'), until: '2026-03-10T00:00:00+01:00', missed: 'skip' as const };
    expect(repeatFrom(asked, user, NOW)).toMatchObject({ until: '2026-03-09T23:00:00.000Z', missed: 'skip' });
    const tooLong = { ...asked, until: '2027-03-03T00:00:00Z' };
    expect(() => repeatFrom(tooLong, user, NOW)).toThrow('within a year');
    expect(repeatFrom(tooLong, admin, NOW).until).toBe('2027-03-03T00:00:00.000Z');
  });

  it('is refused when it has no time before its end', () => {
    const asked = { ...utc('0 9 * * *'), until: '2026-03-02T08:59:59Z' };
    expect(() => repeatFrom(asked, user, NOW)).toThrow('no such time');
  });
});

describe('the due times', () => {
  const hourly = (given: Partial<DueRepeat> = {}): DueRepeat => ({
    ...utc('0 * * * *'),
    at: new Date('2026-03-02T09:00:00Z'),
    missed: 'run-once',
    until: null,
    count: null,
    occurred: 0,
    ...given,
  });
  const at = (time: string) => new Date(`2026-03-02T${time}Z`);

  it.each(['run-once', 'run-all', 'skip', 'of a later version'])('occur when they are in time: %s', (missed) => {
    const due = { at: at('09:00:00'), occurs: true, passedOver: 0, next: at('10:00:00') };
    expect(dueOf(hourly({ missed }), at('09:00:02'))).toEqual(due);
  });

  it('occur only at the last missed time, unless all or none are wanted', () => {
    const now = at('12:30:00');
    const next = at('13:00:00');
    expect(dueOf(hourly(), now)).toEqual({ at: at('12:00:00'), occurs: true, passedOver: 3, next });
    expect(dueOf(hourly({ missed: 'skip' }), now)).toEqual({ at: at('12:00:00'), occurs: false, passedOver: 4, next });
    expect(dueOf(hourly({ missed: 'run-all' }), now)).toEqual({
      at: at('09:00:00'),
      occurs: true,
      passedOver: 0,
      next: at('10:00:00'),
    });
  });

  it('occur when they have just come, also with skip', () => {
    const due = { at: at('12:00:00'), occurs: true, passedOver: 3, next: at('13:00:00') };
    expect(dueOf(hourly({ missed: 'skip' }), at('12:00:30'))).toEqual(due);
  });

  it.each([
    ['run-once', true, 1, '2027-03-29T00:00:00Z'],
    ['skip', false, 2, '2027-03-29T00:00:00Z'],
    ['run-all', true, 0, '2027-03-28T01:00:00Z'],
  ])('count as one when a change of clocks leaves them out: %s', (missed, occurs, passedOver, next) => {
    const cron = { cron: '0,30 2 * * *', timeZone: 'Europe/Berlin' };
    const repeat = hourly({ ...cron, missed, at: new Date('2027-03-27T01:30:00Z') });
    const due = dueOf(repeat, new Date('2027-03-28T12:00:00Z'));
    expect(due).toMatchObject({ occurs, passedOver, next: new Date(next) });
  });

  it('are passed over in parts when they are very many', () => {
    const secondly = hourly({ cron: '* * * * * *' });
    const due = dueOf(secondly, at('10:00:00'));
    expect(due).toMatchObject({ occurs: false, passedOver: 201, at: at('09:03:20'), next: at('09:03:21') });
  });

  it('end after the last time or the last number', () => {
    expect(dueOf(hourly({ until: '2026-03-02T09:59:59Z' }), at('09:00:01')).next).toBeUndefined();
    expect(dueOf(hourly({ until: '2026-03-02T10:00:00Z' }), at('09:00:01')).next).toEqual(at('10:00:00'));
    for (const missed of ['run-once', 'run-all']) {
      expect(dueOf(hourly({ count: 8, occurred: 6, missed }), at('09:00:01')).next).toEqual(at('10:00:00'));
      expect(dueOf(hourly({ count: 8, occurred: 7, missed }), at('09:00:01')).next).toBeUndefined();
    }
  });
});
