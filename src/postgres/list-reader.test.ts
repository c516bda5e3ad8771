import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { QueryConfig } from 'pg';
import { createListReaders } from './list-reader.ts';
import type { Database } from './pool.ts';

// Requests that still wait at the end of a test must not be refused after it.
beforeEach(() => void jest.useFakeTimers({ doNotFake: ['setImmediate'] }));
afterEach(() => void jest.useRealTimers());

/** A database whose queries end when the test says so. They are named by their text. */
function slowDatabase() {
  const [begun, ends] = [[] as string[], new Map<string, () => void>()];
  const query = (({ text }: QueryConfig) => {
    begun.push(text);
    return new Promise((resolve) => ends.set(text, () => resolve([])));
  }) as Database['query'];
  const settled = async () => {
    for (let n = 0; n < 5; n++) await new Promise(setImmediate);
    return begun.splice(0);
  };
  const finish = (text: string) => {
    ends.get(text)?.();
    return settled();
  };
  return { readerFor: createListReaders({ query }), settled, finish };
}

const texts = (sender: string, count: number) => Array.from({ length: count }, (_, n) => `${sender} ${n + 1}`);

describe('reads of lists', () => {
  it('leave a connection to others, however many one address asks for, and take turns', async () => {
    const { readerFor, settled, finish } = slowDatabase();
    for (const text of texts('many', 40)) void readerFor({ sender: 'many' }).first({ text });
    for (const text of texts('other', 2)) void readerFor({ sender: 'other' }).first({ text });
    expect(await settled()).toEqual(['many 1', 'many 2', 'many 3', 'other 1']);
    expect(await finish('many 1')).toEqual(['many 4']);
    expect(await finish('many 2')).toEqual(['other 2']);
  });

  it('run one query at a time for later rows of an address, beside the first rows of others', async () => {
    const { readerFor, settled } = slowDatabase();
    for (const text of texts('many', 3)) void readerFor({ sender: 'many' }).query({ text });
    for (const text of texts('other', 3)) void readerFor({ sender: 'other' }).query({ text });
    void readerFor({ sender: 'third' }).first({ text: 'third' });
    expect(await settled()).toEqual(['many 1', 'other 1', 'third']);
  });

  it('are dropped when the client left before their turn', async () => {
    const { readerFor, settled, finish } = slowDatabase();
    const client = new AbortController();
    void readerFor({ sender: 'a' }).query({ text: 'first' });
    const reading = readerFor({ sender: 'a', signal: client.signal }).query({ text: 'of a client that leaves' });
    void readerFor({ sender: 'a' }).query({ text: 'last' });
    await settled();
    client.abort();
    await expect(reading).rejects.toMatchObject({ code: 'CLIENT_LEFT' });
    expect(await finish('first')).toEqual(['last']);
  });

  it('are refused after ten seconds, and so is the last of 501 that wait', async () => {
    const reader = slowDatabase().readerFor({ sender: 'a' });
    void reader.query({ text: 'first' });
    const waiting = texts('a', 501).map((text) => reader.query({ text }));
    const outcomes = Promise.allSettled(waiting);
    await expect(waiting.at(-1)).rejects.toMatchObject({ code: 'TOO_MANY_AT_ONCE', retryAfter: 10 });
    jest.advanceTimersByTime(10_000);
    expect((await outcomes).every(({ status }) => status === 'rejected')).toBe(true);
  });
});
