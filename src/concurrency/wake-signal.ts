/** Wakes one waiter. A ring that nobody waits for is heard by the next. */
export class WakeSignal {
  #rung = false;
  #answer: (() => void) | undefined;

  notify(): void {
    this.#rung = true;
    this.#answer?.();
  }

  /** Until it rings, or `ms` have passed. */
  async wait(ms: number): Promise<void> {
    if (!this.#rung) await this.#ringOr(ms);
    this.#rung = false;
  }

  async #ringOr(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#answer = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#answer = undefined;
  }
}
