/**
 * What a request may take longer than three times what it took before, and still not be harmed. Tests share two cores with two other
 * files and their servers: a process that is kept from the processor for some time slices is late by so much, whatever is asked of it.
 * Each harm that these tests are about was of a second and more.
 */
export const NOISE_MS = 300;

/** How long requests took, and how fast the machine was meanwhile (`pace.ts`). */
export interface Paced {
  readonly ms: number;
  readonly paceMs: number;
}

/**
 * Milliseconds within which what took so long before must be done now, for others not to be harmed. What slows down a process that
 * has nothing to do with ours is not counted against ours.
 */
export const unharmed = (before: Paced, paceMs: number): number =>
  3 * before.ms * Math.max(1, paceMs / before.paceMs) + NOISE_MS;
