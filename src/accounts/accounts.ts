import { sql } from 'slonik';
import { z } from 'zod';
import { AppError, keyReused } from '../errors.ts';
import { idFromCommand } from '../events/ids.ts';
import { sqlState } from '../postgres/pool.ts';
import { createPlaces } from '../concurrency/places.ts';
import type { Rows } from '../postgres/rows.ts';
import { type Attempt, type Guesses, guessesAt } from './guesses.ts';
import { type GuardedClaim, type Passwords, tooManyLogins } from './passwords.ts';
import { normalUsername } from './usernames.ts';

export const role = z.enum(['user', 'analytics', 'admin']);
export type Role = z.output<typeof role>;

/** An account that has logged in. */
export interface Account {
  readonly id: string;
  readonly role: Role;
}

/** An account as its tokens are made of it. */
export interface VersionedAccount extends Account {
  /** Raised by every change of what its tokens are good for. */
  readonly version: number;
}

export interface Registration {
  readonly username: string;
  readonly password: string;
  readonly fullname: string;
}

/** By what name a registration is recognised when it comes again. The hashes are of a body without the password. */
interface Origin {
  readonly commandId: string;
  readonly repeatable: boolean;
  readonly bodyHash: string;
  readonly olderBodyHashes: readonly string[];
}

export interface Accounts {
  /**
   * Rejects with USERNAME_TAKEN; Postgres decides, however many ask at once. The same registration again is answered alike, and
   * with another password it is refused as any other body.
   */
  register(
    registration: Registration,
    origin: Origin,
    attempt: Attempt,
  ): Promise<{ readonly id: string; readonly replayed: boolean }>;
  /** Undefined for an unknown user as for a wrong password, after the same time. Rejects with ACCOUNT_LOCKED. */
  authenticate(username: string, password: string, attempt: Attempt): Promise<VersionedAccount | undefined>;
  exists(id: string): Promise<boolean>;
}

const UNIQUE_VIOLATION = '23505';
/** Addresses that an account is remembered to have logged in from. */
const MAX_ADDRESSES = 100;
/**
 * Accounts that are looked up at once for who gives a password: of those that come at the same moment the others get their turn before
 * one sender's are read, and one connection of the pool is left to what goes on.
 */
const LOOK_UPS = { all: 3, each: 1, waiting: 64, waitMs: 10_000, refusal: tooManyLogins };

const credentials = z.strictObject({
  id: z.string(),
  role,
  version: z.int(),
  locked: z.boolean(),
  hash: z.string(),
  isKnown: z.boolean(),
  isNoted: z.boolean(),
});
const former = z.strictObject({
  id: z.string(),
  username: z.string(),
  fullname: z.string(),
  hash: z.string(),
  bodyHash: z.string(),
});

export function createAccounts(rows: Rows, passwords: Passwords): Accounts {
  const lookUps = createPlaces(LOOK_UPS);

  /** The account that this very command has made. */
  async function repeated(registration: Registration, origin: Origin, attempt: Attempt) {
    if (!origin.repeatable) return undefined;
    const found = await lookUps.within(attempt, () =>
      rows.maybeOne(sql.type(former)`SELECT id, username, fullname, password_hash AS hash,
        body_hash AS "bodyHash" FROM accounts WHERE command_id = ${origin.commandId}`),
    );
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

  /** Names of earlier versions were taken as they were typed. */
  const find = (typed: string, sender: string) =>
    rows.maybeOne(sql.type(
      credentials,
    )`SELECT a.id, a.role, a.access_version AS version, a.locked, a.password_hash AS hash,
        l.seen_at IS NOT NULL AS "isKnown", coalesce(l.seen_at > now() - interval '1 day', false) AS "isNoted"
      FROM accounts a LEFT JOIN login_addresses l ON l.account_id = a.id AND l.sender = ${sender}
      WHERE a.username = ANY(${sql.array([typed, normalUsername(typed)], 'text')})
      ORDER BY a.username = ${typed} DESC LIMIT 1`);

  const note = (account: string, sender: string) =>
    rows.query(sql.unsafe`WITH forgotten AS (DELETE FROM login_addresses WHERE account_id = ${account} AND sender IN (
        SELECT sender FROM login_addresses WHERE account_id = ${account} AND sender <> ${sender}
        ORDER BY seen_at DESC OFFSET ${MAX_ADDRESSES - 1}))
      INSERT INTO login_addresses (account_id, sender) VALUES (${account}, ${sender})
      ON CONFLICT (account_id, sender) DO UPDATE SET seen_at = now()`);

  return {
    async register({ username, password, fullname }, origin, attempt) {
      const before = await repeated({ username, password, fullname }, origin, attempt);
      if (before) return before;
      const id = idFromCommand('user', origin.commandId);
      const hashed = await passwords.hash(password, attempt);
      try {
        await rows.query(sql.unsafe`INSERT INTO accounts (id, username, fullname, password_hash, command_id, body_hash)
          VALUES (${id}, ${username}, ${fullname}, ${hashed}, ${origin.commandId}, ${origin.bodyHash})`);
        return { id, replayed: false };
      } catch (error) {
        if (sqlState(error) !== UNIQUE_VIOLATION) throw error;
        const meanwhile = await repeated({ username, password, fullname }, origin, attempt);
        if (meanwhile) return meanwhile;
        throw new AppError('rejected', 'USERNAME_TAKEN', 'This username is taken.');
      }
    },

    async authenticate(username, password, attempt) {
      const found = await lookUps.within(attempt, () => find(username, attempt.sender));
      const { isKnown } = found ?? { isKnown: false };
      const guesses = guessesAt({ username: normalUsername(username), accountId: found?.id, isKnown }, attempt);
      // Addresses that an account has logged in from are one in the line: with more of them it would have more turns.
      const sender = found && isKnown ? found.id : attempt.sender;
      const matches = await isPassword(password, found?.hash, guesses, { ...attempt, sender, isKnown });
      if (!found || !matches) return undefined;
      if (found.locked) throw new AppError('forbidden', 'ACCOUNT_LOCKED', 'This account is locked.');
      if (!found.isNoted) await note(found.id, attempt.sender);
      return { id: found.id, role: found.role, version: found.version };
    },

    exists: async (id) =>
      (await rows.maybeOne(
        sql.type(z.object({ one: z.literal(1) }))`SELECT 1 AS one FROM accounts WHERE id = ${id}`,
      )) !== null,
  };
}

/** Hashes of earlier versions were made of bodies with the password in them, and are gone. */
function isSameBody(found: z.output<typeof former>, { username, fullname }: Registration, origin: Origin): boolean {
  if (found.bodyHash === '') return normalUsername(found.username) === username && found.fullname === fullname;
  return [origin.bodyHash, ...origin.olderBodyHashes].includes(found.bodyHash);
}
