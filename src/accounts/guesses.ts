import type { PlaceRequest } from '../concurrency/places.ts';

/** A counter of recent wrong passwords. */
export interface Guesses {
  /** Rejects when there were too many to check another one. */
  mustBeAllowed(): Promise<void>;
  /** Counts one wrong password. */
  failed(): Promise<void>;
}

/** Returns the counter of a name. */
export type GuessesUnder = (name: string) => Guesses;

/** A request that gives a password. */
export interface PasswordAttempt extends Pick<PlaceRequest, 'sender' | 'network' | 'signal'> {
  readonly guesses: GuessesUnder;
  /** The session that the request comes with, if any. */
  readonly session?: { readonly accountId: string; readonly sessionId: string } | undefined;
}

export interface Target {
  readonly username: string;
  readonly accountId: string | undefined;
  /** Whether a login to the account from this address succeeded before. */
  readonly isKnown: boolean;
}

/**
 * The counter for an attempt. Failures are counted per account, so that many addresses together get no more guesses than one. That must
 * not lock out the owner: each session of the account, and each address that has logged in to it before, has its own counter.
 */
export function guessesAt(
  { username, accountId, isKnown }: Target,
  { session, sender, guesses }: PasswordAttempt,
): Guesses {
  if (session && session.accountId === accountId) return guesses(`session ${session.sessionId}`);
  // The username is user input: JSON keeps it from matching the name of another counter.
  return guesses(JSON.stringify(isKnown ? [username, sender] : [username]));
}
