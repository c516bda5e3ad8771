import { hash, verify } from '@node-rs/argon2';
import { availableParallelism } from 'node:os';
import { AppError } from '../errors.ts';

/** OWASP's minimum for argon2id: 19 MiB, two passes, one lane. */
const PARAMETERS = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

export interface Passwords {
  /** In PHC's notation, with its salt and parameters. */
  hash(password: string): Promise<string>;
  /** Takes as long without a hash to compare with, and is false then. */
  matches(password: string, hashed: string | undefined): Promise<boolean>;
}

export interface PasswordOptions {
  /** How many are hashed at the same time. */
  readonly atOnce?: number;
  /** How many may wait for that; whoever comes when the line is full is told to try again. */
  readonly waiting?: number;
  /** The work itself. */
  readonly argon2?: { readonly hash: typeof hash; readonly verify: typeof verify };
}

/** libuv has four threads for what would block the event loop. Files and host names need one at any time. */
const THREADS = 3;
/** About five seconds of work for one core. */
const WAITING = 200;

/** Hashing takes a core for tens of milliseconds, off the event loop. One core and one thread are left to everything else. */
export function createPasswords(options: PasswordOptions = {}): Passwords {
  const { atOnce = Math.max(1, Math.min(THREADS, availableParallelism() - 1)), waiting = WAITING } = options;
  const argon2 = options.argon2 ?? { hash, verify };
  const inTurn = createTurns(atOnce, waiting);
  const nobodys = argon2.hash('nobody has this password', PARAMETERS);
  return {
    hash: (password) => inTurn(() => argon2.hash(password, PARAMETERS)),
    async matches(password, hashed) {
      const against = hashed ?? (await nobodys);
      const same = await inTurn(() => argon2.verify(against, password));
      return same && hashed !== undefined;
    },
  };
}

/** Runs at most so many works at once, and lets so many others wait in line. */
function createTurns(atOnce: number, waiting: number): <T>(work: () => Promise<T>) => Promise<T> {
  const line: (() => void)[] = [];
  let busy = 0;
  return async (work) => {
    if (busy < atOnce) busy++;
    else if (line.length < waiting) await new Promise<void>((resolve) => line.push(resolve));
    else throw crowded();
    try {
      return await work();
    } finally {
      const next = line.shift();
      if (next) next();
      else busy--;
    }
  };
}

const crowded = () =>
  new AppError('unavailable', 'TOO_MANY_LOGINS', 'Too many people log in or register now. Please try again.', {
    retryAfter: 5,
  });
