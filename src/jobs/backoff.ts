import type { Backoff } from '../events/jobs.ts';

export const STRATEGIES = ['exponential', 'fixed', 'none'] as const;
export type Strategy = (typeof STRATEGIES)[number];

/** Pauses between attempts, in milliseconds. */
export interface Pauses {
  readonly firstMs: number;
  readonly maxMs: number;
  /** `exponential` when it is missing. */
  readonly strategy?: Strategy;
}

/** The shortest and the longest pause, in milliseconds. */
export interface Bounds {
  readonly minMs: number;
  readonly maxMs: number;
}

/** The pauses that a job's event names. */
export const pausesOfJob = ({ strategy, firstMs, maxMs }: Backoff): Pauses => ({
  firstMs,
  maxMs,
  strategy: STRATEGIES.find((each) => each === strategy) ?? 'exponential',
});

/** Bounds of the pause after `failed` failed attempts. */
export function backoffBounds({ firstMs, maxMs, strategy }: Pauses, failed: number): Bounds {
  switch (strategy) {
    case 'none':
      return { minMs: 0, maxMs: 0 };
    case 'fixed':
      return { minMs: firstMs, maxMs: firstMs };
    default:
      return { minMs: 0, maxMs: Math.min(maxMs, firstMs * 2 ** (failed - 1)) };
  }
}

/** The pause after `failed` failed attempts, in milliseconds. The jitter keeps jobs that failed together from coming back together. */
export const backoffMs = (pauses: Pauses, failed: number): number =>
  within(backoffBounds(pauses, failed), Math.random());

const MINUTE_MS = 60_000;
/** The pause after each refusal of a recipient; the last one holds for all further refusals. */
const REFUSAL_MINUTES = [1, 5, 15, 30, 60];
const REFUSAL_JITTER = 0.2;

/** Bounds of the pause after so many temporary refusals of a recipient. It is never shorter than the step, because a greylist demands that wait. */
export function refusalBounds(refusals: number): Bounds {
  const minMs = (REFUSAL_MINUTES[refusals - 1] ?? 60) * MINUTE_MS;
  return { minMs, maxMs: minMs * (1 + REFUSAL_JITTER) };
}

/** `part`, from 0 to 1, says where between the bounds. */
export const within = ({ minMs, maxMs }: Bounds, part: number): number => minMs + part * (maxMs - minMs);
