import { sql } from 'slonik';
import { z } from 'zod';
import { notFound } from '../errors.ts';
import type { Rows } from '../postgres/rows.ts';
import { pruneExpired, inTurn, neededUntil, notifyProcesses } from './access-changes.ts';
import { accountRole, type AccountRole } from './accounts.ts';
import { normalUsername } from './usernames.ts';

const listed = z.strictObject({
  username: z.string(),
  role: accountRole,
  locked: z.boolean(),
  createdAt: z.string(),
  sessions: z.int(),
});
export type ListedAccount = z.output<typeof listed>;

const session = z.strictObject({ id: z.string(), expiresAt: z.string() });
export type ListedSession = z.output<typeof session>;

/** The commands of operators on accounts. Each rejects with USER_NOT_FOUND. Every process applies a change within a second. */
export interface Administration {
  list(): Promise<readonly ListedAccount[]>;
  grant(username: string, role: AccountRole): Promise<void>;
  /** Ends all sessions, and refuses logins until the account is unlocked. */
  lock(username: string): Promise<void>;
  unlock(username: string): Promise<void>;
  /** The sessions that have not expired, ordered by expiry. */
  sessions(username: string): Promise<readonly ListedSession[]>;
  endSessions(username: string): Promise<void>;
}

const TIME = 'YYYY-MM-DD"T"HH24:MI:SS"Z"';

export function createAdministration(rows: Rows): Administration {
  const named = (username: string) =>
    sql.fragment`id = (SELECT id FROM accounts WHERE username = ANY(${sql.array([username, normalUsername(username)], 'text')})
      ORDER BY username = ${username} DESC LIMIT 1)`;

  /** Changes an account. A change without a role revokes its tokens and ends its sessions. */
  async function change(
    username: string,
    set: ReturnType<typeof sql.fragment>,
    granted: AccountRole | null,
  ): Promise<void> {
    const { rowCount } = await rows.query(sql.unsafe`WITH ${inTurn}, ${pruneExpired},
      changed AS (UPDATE accounts SET ${set}, access_version = access_version + 1 FROM turn
        WHERE ${named(username)} RETURNING id, access_version),
      ended AS (DELETE FROM refresh_tokens USING changed WHERE account_id = changed.id AND ${granted === null}),
      recorded AS (INSERT INTO access_changes (account_id, version, role, needed_until)
        SELECT id, access_version, ${granted}, ${neededUntil} FROM changed RETURNING 1)
      SELECT ${notifyProcesses} FROM recorded`);
    if (rowCount === 0) throw unknownUser(username);
  }

  return {
    async list() {
      const { rows: all } = await rows.query(sql.type(listed)`SELECT username, role, locked,
          to_char(created_at AT TIME ZONE 'UTC', ${TIME}) AS "createdAt",
          (SELECT count(*) FROM refresh_tokens t WHERE t.account_id = a.id AND expires_at > now())::int AS sessions
        FROM accounts a ORDER BY username`);
      return all;
    },
    grant: (username, granted) => change(username, sql.fragment`role = ${granted}`, granted),
    lock: (username) => change(username, sql.fragment`locked = true`, null),
    unlock: (username) => change(username, sql.fragment`locked = false`, null),
    async sessions(username) {
      const { rows: all } = await rows.query(sql.type(
        z.strictObject({ id: z.string().nullable(), expiresAt: z.string().nullable() }),
      )`SELECT left(encode(token_hash, 'hex'), 12) AS id, to_char(expires_at AT TIME ZONE 'UTC', ${TIME}) AS "expiresAt"
        FROM accounts a LEFT JOIN refresh_tokens t ON t.account_id = a.id AND expires_at > now()
        WHERE a.${named(username)} ORDER BY expires_at`);
      if (all.length === 0) throw unknownUser(username);
      return z.array(session).parse(all.filter(({ id }) => id !== null));
    },
    endSessions: (username) => change(username, sql.fragment`locked = locked`, null),
  };
}

const unknownUser = (username: string) => notFound('USER_NOT_FOUND', `There is no user ${username}.`);
