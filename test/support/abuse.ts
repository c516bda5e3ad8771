/**
 * How much longer than three times its usual duration a request may take before it counts as harmed. Tests share two cores
 * with two other files and their servers: a process that gets no processor for some time slices is late by this much for
 * any request. Each harm that these tests are about was a second or more.
 */
export const NOISE_MS = 300;

/** The durations of requests, and the speed of the machine meanwhile (`machine-speed.ts`). */
export interface Paced {
  readonly ms: number;
  readonly paceMs: number;
}

/**
 * The maximum duration in milliseconds, given the former one, for requests that are not harmed. What slows down an
 * independent process as well does not count against ours.
 */
export const unharmed = (before: Paced, paceMs: number): number =>
  3 * before.ms * Math.max(1, paceMs / before.paceMs) + NOISE_MS;
