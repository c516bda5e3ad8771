import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { within } from './deadline.ts';
import { poll, waitFor } from './poll.ts';
import { retry, retryUntil } from './retry.ts';
import { NEVER, sleep, untilAborted } from './sleep.ts';
import { WakeSignal } from './wake-signal.ts';

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

describe('retry with a signal', () => {
  it('ends the pause when the signal fires, and tells the work how many tries have failed', async () => {
    const stopping = new AbortController();
    const work = (failed: number) => (failed === 1 ? Promise.resolve(failed) : Promise.reject(new Error('no')));
    const onFailure = () => void setImmediate(() => stopping.abort());
    expect(await retry(work, { pauseMs: () => 60_000, onFailure, signal: stopping.signal })).toBe(1);
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

  it('waits as it is told to, and asks how long after each call', async () => {
    const waits: number[] = [];
    const { promise: waited, resolve } = Promise.withResolvers<void>();
    const wait = (ms: number) => {
      if (waits.push(ms) === 3) resolve();
      return sleep(0, NEVER);
    };
    let calls = 0;
    const polling = poll(() => Promise.resolve(++calls), {
      firstMs: 7,
      everyMs: () => 10 * calls,
      onFailure: () => undefined,
      wait,
    });
    await waited;
    await polling.stop();
    expect(waits.slice(0, 3)).toEqual([7, 10, 20]);
  });

  it('makes no first call when it is stopped before', async () => {
    const act = jest.fn<() => Promise<void>>();
    await poll(act, { everyMs: 1, firstMs: 60_000, onFailure: () => undefined }).stop();
    expect(act).not.toHaveBeenCalled();
  });
});

describe('untilAborted', () => {
  it('resolves when the signal fires, or has fired', async () => {
    const stopping = new AbortController();
    const fired = untilAborted(stopping.signal);
    stopping.abort();
    await fired;
    await untilAborted(stopping.signal);
  });
});

describe('WakeSignal', () => {
  it('ends a wait on a notification, also on an earlier one, and when the signal fires', async () => {
    const wakeSignal = new WakeSignal();
    wakeSignal.notify();
    await wakeSignal.wait(60_000);
    const waiting = wakeSignal.wait(60_000);
    wakeSignal.notify();
    await waiting;
    const stopping = new AbortController();
    const stopped = wakeSignal.wait(60_000, stopping.signal);
    stopping.abort();
    await stopped;
    await wakeSignal.wait(60_000, stopping.signal);
  });
});
