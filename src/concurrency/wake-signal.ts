/** Wakes one waiter. A notification without a waiter is kept for the next one. */
export class WakeSignal {
  #isNotified = false;
  #wake: (() => void) | undefined;

  notify(): void {
    this.#isNotified = true;
    this.#wake?.();
  }

  /** Resolves on a notification, after `ms`, or when the signal fires. */
  async wait(ms: number, signal?: AbortSignal): Promise<void> {
    if (!this.#isNotified && !signal?.aborted) await this.#nextOr(ms, signal);
    this.#isNotified = false;
  }

  async #nextOr(ms: number, signal?: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    const wake = () => resolve();
    this.#wake = wake;
    signal?.addEventListener('abort', wake);
    await promise;
    clearTimeout(timer);
    signal?.removeEventListener('abort', wake);
    this.#wake = undefined;
  }
}
