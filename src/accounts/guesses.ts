import type { PlaceRequest } from '../concurrency/places.ts';

/** Wrong passwords that were counted together of late. */
export interface Guesses {
  /** Rejects when there were too many to look at another one. */
  mustBeAllowed(): Promise<void>;
  /** Counts one more. */
  failed(): Promise<void>;
}

/** Those that are counted under a name. */
export type GuessesUnder = (name: string) => Guesses;

/** One who gives a password. */
export interface Attempt extends Pick<PlaceRequest, 'sender' | 'network' | 'signal'> {
  readonly guesses: GuessesUnder;
  /** The session that the request comes with, if any. */
  readonly session?: { readonly accountId: string; readonly sessionId: string } | undefined;
}

export interface Target {
  readonly username: string;
  readonly accountId: string | undefined;
  /** Whether the account was logged in to from this address before. */
  readonly isKnown: boolean;
}

/**
 * Failures are counted per account, so that many addresses cannot guess more than one. That must not lock out its owner: a session of
 * the account, and each address that logged in to it before, has a counter of its own.
 */
export function guessesAt({ username, accountId, isKnown }: Target, { session, sender, guesses }: Attempt): Guesses {
  if (session && session.accountId === accountId) return guesses(`session ${session.sessionId}`);
  // A name is what was typed: it must not be able to name another one's counter.
  return guesses(JSON.stringify(isKnown ? [username, sender] : [username]));
}
