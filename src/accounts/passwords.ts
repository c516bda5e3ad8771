import { hash, verify } from '@node-rs/argon2';
import { availableParallelism } from 'node:os';
import { AppError } from '../errors.ts';
import { type PlaceRequest, createPlaces } from '../concurrency/places.ts';

/** OWASP's minimum for argon2id: 19 MiB, two passes, one lane. */
const PARAMETERS = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

/** A claim that is checked again when its turn comes. */
export interface GuardedClaim extends PlaceRequest {
  mayBegin?(): Promise<void>;
}

export interface Passwords {
  /** Resolves to the hash in PHC format, with its salt and parameters. */
  hash(password: string, claim?: PlaceRequest): Promise<string>;
  /** Without a hash to compare with it takes as long, and resolves to false. */
  matches(password: string, hashed: string | undefined, claim?: GuardedClaim): Promise<boolean>;
}

export interface PasswordOptions {
  /** Passwords that are hashed concurrently. */
  readonly concurrency?: number;
  /** Passwords that may wait. */
  readonly capacity?: number;
  /** The implementation; replaced in tests. */
  readonly argon2?: { readonly hash: typeof hash; readonly verify: typeof verify };
}

/** libuv has four threads for blocking work. One stays free for files and host names. */
const THREADS = 3;
/** About two seconds of work for one core. */
const CAPACITY = 64;
const WAIT_MS = 10_000;
const UNNAMED: PlaceRequest = { sender: '' };

export const tooManyLogins = () =>
  new AppError('unavailable', 'TOO_MANY_LOGINS', 'Too many logins and registrations at the moment. Please try again.', {
    retryAfter: 5,
  });

/**
 * Hashing occupies a core for tens of milliseconds, off the event loop. One core and one thread stay free for everything else. A
 * password is normalised (NFC) before it is hashed. Hashes of earlier versions are of the text as it was typed.
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

/** The normalised password, and the typed one where it differs. */
const spellingsOf = (password: string): readonly string[] => [...new Set([password.normalize('NFC'), password])];

async function verifiesAny(spellings: readonly string[], verify: (spelling: string) => Promise<boolean>) {
  for (const spelling of spellings) if (await verify(spelling)) return true;
  return false;
}
