import { hash, verify } from '@node-rs/argon2';
import { availableParallelism } from 'node:os';
import { createTurns, type Turn } from './turns.ts';

/** OWASP's minimum for argon2id: 19 MiB, two passes, one lane. */
const PARAMETERS = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

/** A turn that is taken only if that is still allowed when it comes. */
export interface GuardedTurn extends Turn {
  mayBegin?(): Promise<void>;
}

export interface Passwords {
  /** In PHC's notation, with its salt and parameters. */
  hash(password: string, turn?: Turn): Promise<string>;
  /** Takes as long without a hash to compare with, and is false then. */
  matches(password: string, hashed: string | undefined, turn?: GuardedTurn): Promise<boolean>;
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
const UNNAMED: Turn = { sender: '' };

/**
 * Hashing takes a core for tens of milliseconds, off the event loop. One core and one thread are left to everything else. A password
 * is hashed in one spelling of its characters (NFC). Hashes of earlier versions are of the spelling that was typed.
 */
export function createPasswords(options: PasswordOptions = {}): Passwords {
  const { concurrency = Math.max(1, Math.min(THREADS, availableParallelism() - 1)), capacity = CAPACITY } = options;
  const argon2 = options.argon2 ?? { hash, verify };
  const inTurn = createTurns(concurrency, capacity);
  const unknownAccount = argon2.hash('no account has this password', PARAMETERS);
  return {
    hash: (password, turn = UNNAMED) => inTurn(turn, () => argon2.hash(password.normalize('NFC'), PARAMETERS)),
    async matches(password, hashed, turn = UNNAMED) {
      const against = hashed ?? (await unknownAccount);
      const same = await inTurn(turn, async () => {
        await turn.mayBegin?.();
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
