import type { Backoff } from '../events/jobs.ts';

export const STRATEGIES = ['exponential', 'fixed', 'none'] as const;
export type Strategy = (typeof STRATEGIES)[number];

/** Pauses between attempts, in milliseconds. */
export interface Pauses {
  readonly firstMs: number;
  readonly mostMs: number;
  /** `exponential` unless it is given. */
  readonly strategy?: Strategy;
}

/** A pause is anything between these, in milliseconds. */
export interface Bounds {
  readonly leastMs: number;
  readonly mostMs: number;
}

/** As an event says it. */
export const pausesOfJob = ({ strategy, firstMs, maxMs }: Backoff): Pauses => ({
  firstMs,
  mostMs: maxMs,
  strategy: STRATEGIES.find((each) => each === strategy) ?? 'exponential',
});

/** Of the pause before the attempt after `failed` ones. */
export function backoffBounds({ firstMs, mostMs, strategy }: Pauses, failed: number): Bounds {
  switch (strategy) {
    case 'none':
      return { leastMs: 0, mostMs: 0 };
    case 'fixed':
      return { leastMs: firstMs, mostMs: firstMs };
    default:
      return { leastMs: 0, mostMs: Math.min(mostMs, firstMs * 2 ** (failed - 1)) };
  }
}

/** Before the attempt after `failed` ones, in milliseconds: those who failed together do not come back together. */
export const backoffMs = (pauses: Pauses, failed: number): number =>
  within(backoffBounds(pauses, failed), Math.random());

const MINUTE_MS = 60_000;
/** After each refusal of a recipient; after all further ones as after the last. */
const REFUSAL_MINUTES = [1, 5, 15, 30, 60];
const REFUSAL_JITTER = 0.2;

/** Of the pause after so many temporary refusals of a recipient. It is never shorter than the step: a greylist has it waited for. */
export function refusalBounds(refusals: number): Bounds {
  const leastMs = (REFUSAL_MINUTES[refusals - 1] ?? 60) * MINUTE_MS;
  return { leastMs, mostMs: leastMs * (1 + REFUSAL_JITTER) };
}

/** `part`: from 0 to 1, where between the bounds. */
export const within = ({ leastMs, mostMs }: Bounds, part: number): number => leastMs + part * (mostMs - leastMs);
