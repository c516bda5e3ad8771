/**
 * What a request may take longer than three times what it took before, and still not be harmed. Tests share two cores with two other
 * files and their servers: a process that is kept from the processor for some time slices is late by so much, whatever is asked of it.
 * Each harm that these tests are about was of a second and more.
 */
export const NOISE_MS = 300;

/** Milliseconds within which what took so long before must be done now, for others not to be harmed. */
export const unharmed = (beforeMs: number): number => 3 * beforeMs + NOISE_MS;
