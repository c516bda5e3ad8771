import { NEVER, sleep } from './sleep.ts';

export interface PollOptions {
  /** Milliseconds between two calls; a function is asked after each call. */
  readonly everyMs: number | (() => number);
  /** Milliseconds before the first call; 0 unless given. */
  readonly firstMs?: number;
  /** Receives what a call throws; the next call follows all the same. */
  readonly onFailure: (error: unknown) => void;
  /** Replaces `sleep`: a wait that a wake signal ends, or one of a test with a fake clock. */
  readonly wait?: typeof sleep;
}

/** A loop that runs until it is stopped. */
export interface Poll {
  /** Resolves when the call under way has ended. */
  stop(): Promise<void>;
}

/** Calls `act` again and again, each time `everyMs` after the last call has ended. `act` gets a signal that fires on `stop`. */
export function poll(act: (signal: AbortSignal) => Promise<unknown>, options: PollOptions): Poll {
  const stopping = new AbortController();
  const polling = pollUntil(stopping.signal, act, options);
  return {
    async stop() {
      stopping.abort();
      await polling;
    },
  };
}

/** The same until the signal fires. Never rejects. */
export async function pollUntil(
  signal: AbortSignal,
  act: (signal: AbortSignal) => Promise<unknown>,
  { everyMs, firstMs = 0, onFailure, wait = sleep }: PollOptions,
): Promise<void> {
  if (firstMs > 0) await wait(firstMs, signal);
  while (!signal.aborted) {
    await act(signal).catch(onFailure);
    await wait(typeof everyMs === 'number' ? everyMs : everyMs(), signal);
  }
}

export interface WaitOptions {
  readonly everyMs: number;
  readonly withinMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Asks until there is an answer. Undefined when there is none after `withinMs`, or when the signal fires. Asks at least once. */
export async function waitFor<T>(
  ask: () => Promise<T | undefined>,
  { everyMs, withinMs, signal = NEVER }: WaitOptions,
): Promise<T | undefined> {
  const giveUpAt = performance.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined || performance.now() > giveUpAt || signal.aborted) return answer;
    await sleep(everyMs, signal);
  }
}
