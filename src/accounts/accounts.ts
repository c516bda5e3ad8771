import { sql } from 'slonik';
import { z } from 'zod';
import { AppError, keyReused, notFound } from '../errors.ts';
import { thingIdOf } from '../events/ids.ts';
import { sqlState } from '../postgres/pool.ts';
import type { Rows } from '../postgres/rows.ts';
import type { Passwords } from './passwords.ts';

export const role = z.enum(['user', 'analytics', 'admin']);
export type Role = z.output<typeof role>;

/** Who somebody is once they have logged in. */
export interface Account {
  readonly id: string;
  readonly role: Role;
}

export interface Registration {
  readonly username: string;
  readonly password: string;
  readonly fullname: string;
}

/** By what name a registration is recognised when it comes again. */
interface Origin {
  readonly commandId: string;
  readonly repeatable: boolean;
  readonly bodyHash: string;
  readonly olderBodyHashes: readonly string[];
}

export interface Accounts {
  /** Rejects with USERNAME_TAKEN; Postgres decides, however many ask at once. The same registration again is answered alike. */
  register(registration: Registration, origin: Origin): Promise<{ readonly id: string; readonly replayed: boolean }>;
  /** Undefined for an unknown user as for a wrong password, after the same time. */
  authenticate(username: string, password: string): Promise<Account | undefined>;
  exists(id: string): Promise<boolean>;
  /** Rejects with USER_NOT_FOUND. */
  grant(username: string, role: Role): Promise<void>;
}

const UNIQUE_VIOLATION = '23505';

const credentials = z.strictObject({ id: z.string(), role, hash: z.string() });
const former = z.strictObject({ id: z.string(), hash: z.string() });

export function createAccounts(rows: Rows, passwords: Passwords): Accounts {
  /** The account that this very command has made. */
  async function repeated({ commandId, repeatable, bodyHash, olderBodyHashes }: Origin) {
    if (!repeatable) return undefined;
    const found = await rows.maybeOne(
      sql.type(former)`SELECT id, body_hash AS hash FROM accounts WHERE command_id = ${commandId}`,
    );
    if (!found) return undefined;
    if (found.hash === bodyHash || olderBodyHashes.includes(found.hash)) return { id: found.id, replayed: true };
    throw keyReused();
  }

  return {
    async register({ username, password, fullname }, origin) {
      const before = await repeated(origin);
      if (before) return before;
      const id = thingIdOf('user', origin.commandId);
      const hashed = await passwords.hash(password);
      try {
        await rows.query(sql.unsafe`INSERT INTO accounts (id, username, fullname, password_hash, command_id, body_hash)
          VALUES (${id}, ${username}, ${fullname}, ${hashed}, ${origin.commandId}, ${origin.bodyHash})`);
        return { id, replayed: false };
      } catch (error) {
        if (sqlState(error) !== UNIQUE_VIOLATION) throw error;
        const meanwhile = await repeated(origin);
        if (meanwhile) return meanwhile;
        throw new AppError('rejected', 'USERNAME_TAKEN', 'This username is taken.');
      }
    },

    async authenticate(username, password) {
      const found = await rows.maybeOne(
        sql.type(credentials)`SELECT id, role, password_hash AS hash FROM accounts WHERE username = ${username}`,
      );
      const matches = await passwords.matches(password, found?.hash);
      return found && matches ? { id: found.id, role: found.role } : undefined;
    },

    exists: async (id) =>
      (await rows.maybeOne(
        sql.type(z.object({ one: z.literal(1) }))`SELECT 1 AS one FROM accounts WHERE id = ${id}`,
      )) !== null,

    async grant(username, granted) {
      const { rowCount } = await rows.query(
        sql.unsafe`UPDATE accounts SET role = ${granted} WHERE username = ${username}`,
      );
      if (rowCount === 0) throw notFound('USER_NOT_FOUND', `There is no user ${username}.`);
    },
  };
}
