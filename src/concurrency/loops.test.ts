import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { within } from './deadline.ts';
import { poll, waitFor } from './poll.ts';
import { retry, retryUntil } from './retry.ts';
import { sleep } from './sleep.ts';

describe('within', () => {
  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => void jest.useRealTimers());

  it('settles as the work does when that is in time', async () => {
    await expect(within(10, 'the work', Promise.resolve(1))).resolves.toBe(1);
    await expect(within(10, 'the work', Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(jest.getTimerCount()).toBe(0);
  });

  it.each([
    ['the work', 'the work took longer than 10 ms'],
    [() => new Error('too late'), 'too late'],
  ])('rejects work that takes longer', async (late, message) => {
    const result = expect(within(10, late, new Promise(() => undefined))).rejects.toThrow(message);
    jest.advanceTimersByTime(10);
    await result;
  });
});

/** Fails as often as the test says, and then succeeds. */
function failing(times: number) {
  let calls = 0;
  return () => (++calls > times ? Promise.resolve(calls) : Promise.reject(new Error(`failure ${calls}`)));
}

describe('retry', () => {
  it('tries until the work succeeds', async () => {
    expect(await retry(failing(2), { pauseMs: () => 0, onFailure: () => undefined })).toBe(3);
  });

  it('gives up when onFailure throws, which gets the number of failed tries', async () => {
    const onFailure = (error: unknown, tries: number) => {
      if (tries === 2) throw error;
    };
    await expect(retry(failing(5), { pauseMs: () => 0, onFailure })).rejects.toThrow('failure 2');
  });
});

describe('retryUntil', () => {
  it('tries until the work succeeds', async () => {
    expect(await retryUntil(new AbortController().signal, failing(2), { pauseMs: 0 })).toBe(3);
  });

  it('returns undefined when the signal fires, also during a pause', async () => {
    const stopping = new AbortController();
    const onFailure = () => stopping.abort();
    expect(await retryUntil(stopping.signal, failing(5), { pauseMs: 60_000, onFailure })).toBeUndefined();
  });
});

describe('waitFor', () => {
  const answering = (at: number) => {
    let calls = 0;
    return () => Promise.resolve(++calls >= at ? calls : undefined);
  };

  it('asks until there is an answer', async () => {
    expect(await waitFor(answering(3), { everyMs: 0, withinMs: 60_000 })).toBe(3);
  });

  it('returns undefined when there is none in time, or when the signal fires', async () => {
    expect(await waitFor(answering(Infinity), { everyMs: 0, withinMs: 5 })).toBeUndefined();
    const signal = AbortSignal.abort();
    expect(await waitFor(answering(2), { everyMs: 60_000, withinMs: 60_000, signal })).toBeUndefined();
  });
});

describe('poll', () => {
  it('repeats the call, also after a failure, and stops at once during a pause', async () => {
    const failures: unknown[] = [];
    const { promise: calledTwice, resolve } = Promise.withResolvers<void>();
    let calls = 0;
    const act = () => {
      if (++calls === 2) resolve();
      return Promise.reject(new Error(`failure ${calls}`));
    };
    const polling = poll(act, { everyMs: 1, onFailure: (error) => failures.push(error) });
    await calledTwice;
    await polling.stop();
    expect(failures.slice(0, 2)).toEqual([new Error('failure 1'), new Error('failure 2')]);
    const before = calls;
    await sleep(5, new AbortController().signal);
    expect(calls).toBe(before);
  });

  it('makes no first call when it is stopped before', async () => {
    const act = jest.fn<() => Promise<void>>();
    await poll(act, { everyMs: 1, firstMs: 60_000, onFailure: () => undefined }).stop();
    expect(act).not.toHaveBeenCalled();
  });
});
