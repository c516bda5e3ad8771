import { describe, expect, it } from '@jest/globals';
import {
  type Breaker,
  CLOSED,
  closed,
  fromRow,
  halfOpenElsewhere,
  mustOpen,
  opened,
  type Opening,
  opens,
  withCall,
} from './breaker-state.ts';

const OPENING: Opening = { window: 3, minCalls: 2, share: 0.5 };
const afterCalls = (...failed: boolean[]) =>
  failed.reduce<Breaker>((breaker, each) => withCall(breaker, each, OPENING), CLOSED);
const row = (openForMs: number, halfOpenTaken = false) => ({
  name: 'smtp',
  openForMs,
  halfOpenTaken,
  failedDomain: null,
});

describe('a breaker', () => {
  it.each([
    ['too few calls', [true], false],
    ['half of them failed', [false, true], true],
    ['the last one succeeded', [true, true, false], false],
    ['earlier calls are outside of its window', [true, false, false, false, true], false],
  ])('must open, or not, when %s', (_, calls, expected) => {
    expect(mustOpen(afterCalls(...calls), OPENING)).toBe(expected);
  });

  it('forgets its calls when it opens, and keeps them otherwise', () => {
    const before = afterCalls(false, true);
    expect(opened(before, 1_000, 'a.example')).toEqual({
      state: 'open',
      openForMs: 1_000,
      failedDomain: 'a.example',
      calls: [],
    });
    expect(closed(before).calls).toEqual([false, true]);
  });

  it.each([
    ['open', row(1), 'open'],
    ['half-open', row(-1), 'half-open'],
    ['open while another process makes the half-open call', row(-1, true), 'open'],
  ])('is %s by its row', (_, read, state) => {
    expect(fromRow(CLOSED, read).state).toBe(state);
    expect(halfOpenElsewhere(fromRow(CLOSED, read)).state).toBe('open');
  });

  it('ends calls in flight only when it was closed', () => {
    const open = opened(CLOSED, 1, undefined);
    expect([opens(CLOSED, open), opens(open, open), opens(open, CLOSED)]).toEqual([true, false, false]);
  });
});
