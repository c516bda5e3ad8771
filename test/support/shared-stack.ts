import { afterAll, afterEach, beforeEach } from '@jest/globals';

/** Servers and processes that the suites of one test file use one after the other. */
export interface Stack {
  /** Throws the reason when it does not serve as a new one does. */
  mustBeHealthy(): Promise<void>;
  /** Undoes the changes of a test. A failed test has undone none of them. */
  repair(): Promise<void>;
  /** Whether a failed test has left it beyond repair. The next test gets a new stack. */
  readonly isBroken: boolean;
  stop(): Promise<void>;
}

export interface SharedStack<Started> {
  /** Called in a suite: gives the stack to each of its tests, checked before the test and repaired after it. */
  use(take: (stack: Started) => void): void;
}

const WITHIN_MS = 480_000;

/** A stack that starts when the first test needs it, so that a file whose suites are all skipped starts none. */
export function shareStack<Started extends Stack>(start: () => Promise<Started>): SharedStack<Started> {
  let stack: Started | undefined;

  async function stop(): Promise<void> {
    await stack?.stop();
    stack = undefined;
  }
  afterAll(stop, WITHIN_MS);

  return {
    use(take) {
      beforeEach(async () => {
        if (stack?.isBroken) await stop();
        stack ??= await start();
        await stack.mustBeHealthy();
        take(stack);
      }, WITHIN_MS);
      afterEach(() => stack?.repair(), WITHIN_MS);
    },
  };
}
