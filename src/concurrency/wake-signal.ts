/** Wakes one waiter. A notification without a waiter is kept for the next one. */
export class WakeSignal {
  #isNotified = false;
  #wake: (() => void) | undefined;

  notify(): void {
    this.#isNotified = true;
    this.#wake?.();
  }

  /** Resolves on a notification, or after `ms`. */
  async wait(ms: number): Promise<void> {
    if (!this.#isNotified) await this.#nextOr(ms);
    this.#isNotified = false;
  }

  async #nextOr(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }
}
