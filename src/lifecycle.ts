import { within } from './concurrency/deadline.ts';
import { poll } from './concurrency/poll.ts';
import { sleep } from './concurrency/sleep.ts';
import { reasonOf } from './errors.ts';

export interface Stoppable {
  stop(): Promise<void>;
}

/** Things started in order and stopped in reverse, once, each within its share of a deadline. */
export class Lifecycle {
  readonly #started: { name: string; thing: Stoppable }[] = [];
  readonly #report: (message: string) => void;
  #stopping: Promise<void> | undefined;

  /** `report` is called for every part that fails to stop or takes too long. */
  constructor(report: (message: string) => void) {
    this.#report = report;
  }

  /** Registers a part that already runs. */
  add<T extends Stoppable>(name: string, thing: T): T {
    this.#started.push({ name, thing });
    return thing;
  }

  /** Stops everything in reverse order. A second call waits for the first. */
  stop(deadlineMs = 20_000): Promise<void> {
    this.#stopping ??= this.#stopAll(Date.now() + deadlineMs);
    return this.#stopping;
  }

  async #stopAll(deadline: number): Promise<void> {
    for (const { name, thing } of this.#started.toReversed()) {
      const left = Math.max(100, deadline - Date.now());
      try {
        await within(left, () => new StoppedLate(`${name} did not stop within ${left} ms`), thing.stop());
      } catch (error) {
        this.#report(error instanceof StoppedLate ? error.message : `${name} failed to stop: ${reasonOf(error)}`);
      }
    }
  }
}

class StoppedLate extends Error {}

const HOUR_MS = 3_600_000;

/** Calls `act` every hour, first after a random part of one, so that processes take turns. `act` must not throw: it reports its own failures. */
export const hourly = (act: (signal: AbortSignal) => Promise<unknown>, wait = sleep): Stoppable =>
  poll(act, {
    firstMs: Math.random() * HOUR_MS,
    everyMs: HOUR_MS,
    onFailure: () => undefined,
    wait,
  });
