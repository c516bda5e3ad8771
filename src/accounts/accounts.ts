import { sql } from 'slonik';
import { z } from 'zod';
import { AppError, keyReused } from '../errors.ts';
import { idFromCommand } from '../events/ids.ts';
import { sqlState } from '../postgres/pool.ts';
import { createPlaces } from '../concurrency/places.ts';
import type { Rows } from '../postgres/rows.ts';
import { type PasswordAttempt, type Guesses, guessesAt } from './guesses.ts';
import { type GuardedClaim, type Passwords, tooManyLogins } from './passwords.ts';
import { normalUsername } from './usernames.ts';

export const accountRole = z.enum(['user', 'analytics', 'admin']);
export type AccountRole = z.output<typeof accountRole>;

/** An account that has logged in. */
export interface Account {
  readonly id: string;
  readonly role: AccountRole;
}

/** An account with the version that its tokens carry. */
export interface VersionedAccount extends Account {
  /** Incremented by every change that affects tokens: a role, a lock, ended sessions. */
  readonly version: number;
}

export interface Registration {
  readonly username: string;
  readonly password: string;
  readonly fullname: string;
}

/** Identifies a registration, so that a repeated one is recognised. The hashes are of the body without the password. */
interface RegistrationOrigin {
  readonly commandId: string;
  readonly repeatable: boolean;
  readonly bodyHash: string;
  readonly olderBodyHashes: readonly string[];
}

export interface Accounts {
  /**
   * Rejects with USERNAME_TAKEN: a unique index decides between concurrent registrations. A repeated registration gets the same
   * answer; with another password it is refused like any other body under the same key.
   */
  register(
    registration: Registration,
    origin: RegistrationOrigin,
    attempt: PasswordAttempt,
  ): Promise<{ readonly id: string; readonly replayed: boolean }>;
  /** Resolves to undefined for an unknown user or a wrong password, after the same time. Rejects with ACCOUNT_LOCKED. */
  authenticate(username: string, password: string, attempt: PasswordAttempt): Promise<VersionedAccount | undefined>;
  exists(id: string): Promise<boolean>;
}

const UNIQUE_VIOLATION = '23505';
/** Login addresses that are stored for each account. */
const MAX_ADDRESSES = 100;
/**
 * Concurrent account look-ups by requests that give a password. One per sender, so that a sender with many requests does not delay
 * the others; three in all, so that one connection of the pool stays free for other queries.
 */
const ACCOUNT_READS = { all: 3, each: 1, waiting: 64, waitMs: 10_000, refusal: tooManyLogins };

const credentials = z.strictObject({
  id: z.string(),
  role: accountRole,
  version: z.int(),
  locked: z.boolean(),
  hash: z.string(),
  isKnown: z.boolean(),
  isNoted: z.boolean(),
});
const registered = z.strictObject({
  id: z.string(),
  username: z.string(),
  fullname: z.string(),
  hash: z.string(),
  bodyHash: z.string(),
});

export function createAccounts(rows: Rows, passwords: Passwords): Accounts {
  const accountReads = createPlaces(ACCOUNT_READS);
  const accounts = accountQueries(rows);

  /** Resolves to the account that the same command created before, if any. */
  async function repeated(registration: Registration, origin: RegistrationOrigin, attempt: PasswordAttempt) {
    if (!origin.repeatable) return undefined;
    const found = await accountReads.within(attempt, () => accounts.findByCommand(origin.commandId));
    if (!found) return undefined;
    if (!isSameBody(found, registration, origin)) throw keyReused();
    const guesses = guessesAt({ username: found.username, accountId: found.id, isKnown: false }, attempt);
    if (!(await isPassword(registration.password, found.hash, guesses, attempt))) throw keyReused();
    return { id: found.id, replayed: true };
  }

  async function isPassword(password: string, hash: string | undefined, guesses: Guesses, claim: GuardedClaim) {
    await guesses.mustBeAllowed();
    const matches = await passwords.matches(password, hash, { ...claim, mayBegin: guesses.mustBeAllowed });
    if (!matches) await guesses.failed();
    return matches;
  }

  return {
    async register(registration, origin, attempt) {
      const before = await repeated(registration, origin, attempt);
      if (before) return before;
      const id = idFromCommand('user', origin.commandId);
      const hashed = await passwords.hash(registration.password, attempt);
      try {
        await accounts.insert(id, registration, hashed, origin);
        return { id, replayed: false };
      } catch (error) {
        if (sqlState(error) !== UNIQUE_VIOLATION) throw error;
        const meanwhile = await repeated(registration, origin, attempt);
        if (meanwhile) return meanwhile;
        throw new AppError('rejected', 'USERNAME_TAKEN', 'This username is taken.');
      }
    },

    async authenticate(username, password, attempt) {
      const found = await accountReads.within(attempt, () => accounts.find(username, attempt.sender));
      const { isKnown } = found ?? { isKnown: false };
      const guesses = guessesAt({ username: normalUsername(username), accountId: found?.id, isKnown }, attempt);
      // All known addresses of an account share one turn in the queue: otherwise more addresses would get more turns.
      const sender = found && isKnown ? found.id : attempt.sender;
      const matches = await isPassword(password, found?.hash, guesses, { ...attempt, sender, isKnown });
      if (!found || !matches) return undefined;
      if (found.locked) throw new AppError('forbidden', 'ACCOUNT_LOCKED', 'This account is locked.');
      if (!found.isNoted) await accounts.noteAddress(found.id, attempt.sender);
      return { id: found.id, role: found.role, version: found.version };
    },

    exists: accounts.exists,
  };
}

/** The queries on `accounts` and `login_addresses`. */
const accountQueries = (rows: Rows) => ({
  /** Names from earlier versions are stored as they were typed, so both spellings are looked up. */
  find: (typed: string, sender: string) =>
    rows.maybeOne(sql.type(
      credentials,
    )`SELECT a.id, a.role, a.access_version AS version, a.locked, a.password_hash AS hash,
        l.seen_at IS NOT NULL AS "isKnown", coalesce(l.seen_at > now() - interval '1 day', false) AS "isNoted"
      FROM accounts a LEFT JOIN login_addresses l ON l.account_id = a.id AND l.sender = ${sender}
      WHERE a.username = ANY(${sql.array([typed, normalUsername(typed)], 'text')})
      ORDER BY a.username = ${typed} DESC LIMIT 1`),

  findByCommand: (commandId: string) =>
    rows.maybeOne(sql.type(registered)`SELECT id, username, fullname, password_hash AS hash,
        body_hash AS "bodyHash" FROM accounts WHERE command_id = ${commandId}`),

  insert: (id: string, { username, fullname }: Registration, hashed: string, origin: RegistrationOrigin) =>
    rows.query(sql.unsafe`INSERT INTO accounts (id, username, fullname, password_hash, command_id, body_hash)
      VALUES (${id}, ${username}, ${fullname}, ${hashed}, ${origin.commandId}, ${origin.bodyHash})`),

  noteAddress: (account: string, sender: string) =>
    rows.query(sql.unsafe`WITH pruned AS (DELETE FROM login_addresses WHERE account_id = ${account} AND sender IN (
        SELECT sender FROM login_addresses WHERE account_id = ${account} AND sender <> ${sender}
        ORDER BY seen_at DESC OFFSET ${MAX_ADDRESSES - 1}))
      INSERT INTO login_addresses (account_id, sender) VALUES (${account}, ${sender})
      ON CONFLICT (account_id, sender) DO UPDATE SET seen_at = now()`),

  exists: async (id: string) =>
    (await rows.maybeOne(sql.type(z.object({ one: z.literal(1) }))`SELECT 1 AS one FROM accounts WHERE id = ${id}`)) !==
    null,
});

/** Body hashes of earlier versions covered the password and were deleted: those accounts are compared field by field. */
function isSameBody(
  found: z.output<typeof registered>,
  { username, fullname }: Registration,
  origin: RegistrationOrigin,
): boolean {
  if (found.bodyHash === '') return normalUsername(found.username) === username && found.fullname === fullname;
  return [origin.bodyHash, ...origin.olderBodyHashes].includes(found.bodyHash);
}
