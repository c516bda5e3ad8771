import { hash, verify } from '@node-rs/argon2';
import { availableParallelism } from 'node:os';
import { AppError } from '../errors.ts';
import { type PlaceRequest, createPlaces } from '../concurrency/places.ts';

/** OWASP's minimum for argon2id: 19 MiB, two passes, one lane. */
const PARAMETERS = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

/** A place that is taken only if that is still allowed when there is one. */
export interface GuardedClaim extends PlaceRequest {
  mayBegin?(): Promise<void>;
}

export interface Passwords {
  /** In PHC's notation, with its salt and parameters. */
  hash(password: string, claim?: PlaceRequest): Promise<string>;
  /** Takes as long without a hash to compare with, and is false then. */
  matches(password: string, hashed: string | undefined, claim?: GuardedClaim): Promise<boolean>;
}

export interface PasswordOptions {
  /** How many are hashed at the same time. */
  readonly concurrency?: number;
  /** How many may wait for that. */
  readonly capacity?: number;
  /** The work itself. */
  readonly argon2?: { readonly hash: typeof hash; readonly verify: typeof verify };
}

/** libuv has four threads for what would block the event loop. Files and host names need one at any time. */
const THREADS = 3;
/** Some two seconds of work for one core. */
const CAPACITY = 64;
const WAIT_MS = 10_000;
const UNNAMED: PlaceRequest = { sender: '' };

export const tooManyLogins = () =>
  new AppError('unavailable', 'TOO_MANY_LOGINS', 'Too many people log in or register now. Please try again.', {
    retryAfter: 5,
  });

/**
 * Hashing takes a core for tens of milliseconds, off the event loop. One core and one thread are left to everything else. A password
 * is hashed in one spelling of its characters (NFC). Hashes of earlier versions are of the spelling that was typed.
 */
export function createPasswords(options: PasswordOptions = {}): Passwords {
  const { concurrency = Math.max(1, Math.min(THREADS, availableParallelism() - 1)), capacity = CAPACITY } = options;
  const argon2 = options.argon2 ?? { hash, verify };
  const places = createPlaces({ all: concurrency, waiting: capacity, waitMs: WAIT_MS, refusal: tooManyLogins });
  const unknownAccount = argon2.hash('no account has this password', PARAMETERS);
  return {
    hash: (password, claim = UNNAMED) => places.within(claim, () => argon2.hash(password.normalize('NFC'), PARAMETERS)),
    async matches(password, hashed, claim = UNNAMED) {
      const against = hashed ?? (await unknownAccount);
      const same = await places.within(claim, async () => {
        await claim.mayBegin?.();
        return verifiesAny(spellingsOf(password), (spelling) => argon2.verify(against, spelling));
      });
      return same && hashed !== undefined;
    },
  };
}

/** As it is hashed now, and as it was typed, where that is another one. */
const spellingsOf = (password: string): readonly string[] => [...new Set([password.normalize('NFC'), password])];

async function verifiesAny(spellings: readonly string[], verify: (spelling: string) => Promise<boolean>) {
  for (const spelling of spellings) if (await verify(spelling)) return true;
  return false;
}
