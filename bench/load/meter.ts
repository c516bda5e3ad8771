import { createHistogram, type Histogram } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';

/** The results of a load within its measured time. */
export interface LoadResult {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly failures: number;
  /** Cores that the load itself used. */
  readonly loadCores: number;
}

export interface Window {
  readonly warmUpMs: number;
  readonly measureMs: number;
}

export interface Meter {
  done(ms: number): void;
  failed(): void;
}

const MICROSECONDS = 1_000;
const PAUSE_AFTER_FAILURE_MS = 10;

/** Runs a load and measures what completes between the warm-up's end and the stop. */
export async function measure(
  { warmUpMs, measureMs }: Window,
  start: (meter: Meter) => () => Promise<void>,
): Promise<LoadResult> {
  const latencies = createHistogram({ lowest: 1, highest: 60_000 * MICROSECONDS, figures: 3 });
  let failures = 0;
  let open = false;
  const stop = start({
    done(ms) {
      if (open) latencies.record(Math.max(1, Math.round(ms * MICROSECONDS)));
    },
    failed() {
      if (open) failures++;
    },
  });
  await delay(warmUpMs);
  const [began, cpu] = [performance.now(), process.cpuUsage()];
  open = true;
  await delay(measureMs);
  open = false;
  const ms = performance.now() - began;
  const { user, system } = process.cpuUsage(cpu);
  await stop();
  return {
    perSecond: (latencies.count / ms) * 1_000,
    p50Ms: percentile(latencies, 50, ms),
    p99Ms: percentile(latencies, 99, ms),
    failures,
    loadCores: (user + system) / MICROSECONDS / ms,
  };
}

/** In milliseconds. An operation that never ended counts with the measured time. */
const percentile = (latencies: Histogram, percent: number, measuredMs: number): number =>
  latencies.count === 0 ? measuredMs : latencies.percentile(percent) / MICROSECONDS;

/** A load of workers, each of which does one operation after the other. */
export const closedLoop = (workers: number, once: () => Promise<unknown>) => (meter: Meter) => {
  let running = true;
  const work = async () => {
    while (running) {
      const began = performance.now();
      try {
        await once();
        meter.done(performance.now() - began);
      } catch {
        meter.failed();
        await delay(PAUSE_AFTER_FAILURE_MS);
      }
    }
  };
  const all = Promise.all(Array.from({ length: workers }, work));
  return async () => {
    running = false;
    await all;
  };
};
