/** Runs a poll on demand: one at a time, with a pause of at least `restMs` after each. */
export interface PollTimer {
  /** Runs the poll in at most `ms` milliseconds, or as soon as the pause after the last one is over. */
  within(ms: number): void;
  /** Cancels the next run. */
  cancel(): void;
}

export function createPollTimer(poll: () => Promise<void>, restMs: number): PollTimer {
  let timer: NodeJS.Timeout | undefined;
  let dueAt = Infinity;
  let isPolling = false;
  let restedAt = 0;

  function within(ms: number): void {
    const at = Math.max(performance.now() + ms, restedAt);
    if (at >= dueAt) return;
    clearTimeout(timer);
    dueAt = at;
    if (!isPolling) arm();
  }

  function arm(): void {
    if (dueAt < Infinity) timer = setTimeout(() => void run(), Math.max(0, dueAt - performance.now()));
  }

  async function run(): Promise<void> {
    dueAt = Infinity;
    isPolling = true;
    await poll();
    isPolling = false;
    restedAt = performance.now() + restMs;
    dueAt = Math.max(dueAt, restedAt);
    arm();
  }

  return {
    within,
    cancel() {
      clearTimeout(timer);
      dueAt = Infinity;
    },
  };
}
