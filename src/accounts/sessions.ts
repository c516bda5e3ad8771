import { createHash } from 'node:crypto';
import { sql } from 'slonik';
import { z } from 'zod';
import type { Rows } from '../postgres/rows.ts';
import { pruneExpired, inTurn, neededUntil, acquireTurn, notifyProcesses } from './access-changes.ts';
import { accountRole, type VersionedAccount } from './accounts.ts';

/** A refresh token, and the id of the session that began with it. */
export interface SessionToken {
  readonly token: string;
  readonly sessionId: string;
}

/** Sessions of one account: one more ends the oldest. */
const MAX_SESSIONS = 1_000;

/** The valid refresh tokens. Only their hashes are stored, so that a reader of the table cannot log in. */
export interface Sessions {
  /** Opens a session. When the account has too many, its oldest session ends, with its access tokens. */
  open(token: string, account: string, expiresAt: Date): Promise<void>;
  /** The account with its current role; undefined when the token is unknown, revoked or expired, or the account is locked. */
  find(token: string): Promise<VersionedAccount | undefined>;
  /** Ends the session and its access tokens. Resolves to false when there was no such session. */
  close(session: SessionToken): Promise<boolean>;
}

const sessionAccount = z.strictObject({ id: z.string(), role: accountRole, version: z.int() });

const digestOf = (token: string) => createHash('sha256').update(token).digest();
const hashOf = (token: string) => sql.binary(digestOf(token));

/** Characters of the hash of a refresh token that make the id of its session: 128 bits. */
const ID_LENGTH = 32;

/** The id of a session. It derives from the stored hash, so that a session can be ended without its refresh token. */
export const sessionIdOf = (refreshToken: string): string => digestOf(refreshToken).toString('hex').slice(0, ID_LENGTH);

export function createSessions(rows: Rows): Sessions {
  return {
    async open(token, account, expiresAt) {
      // Only a login that ends a session takes the lock, and takes it before it locks a session row, in the same order as all others.
      await rows.query(sql.unsafe`WITH turn AS MATERIALIZED (
          SELECT CASE WHEN count(*) >= ${MAX_SESSIONS} THEN ${acquireTurn} END
          FROM refresh_tokens WHERE account_id = ${account} AND expires_at >= now()),
        ended AS (DELETE FROM refresh_tokens USING turn WHERE account_id = ${account} AND (expires_at < now() OR token_hash IN (
          SELECT token_hash FROM refresh_tokens WHERE account_id = ${account} AND expires_at >= now()
          ORDER BY expires_at DESC, token_hash OFFSET ${MAX_SESSIONS - 1})) RETURNING token_hash, expires_at),
        opened AS (INSERT INTO refresh_tokens (token_hash, account_id, expires_at)
          VALUES (${hashOf(token)}, ${account}, ${sql.timestamp(expiresAt)})),
        recorded AS (INSERT INTO access_changes (account_id, session_id, needed_until)
          SELECT ${account}, left(encode(token_hash, 'hex'), ${ID_LENGTH}), ${neededUntil}
          FROM ended WHERE expires_at >= now() RETURNING 1),
        pruned AS (DELETE FROM access_changes USING recorded WHERE needed_until < now())
        SELECT ${notifyProcesses} FROM recorded`);
    },

    async find(token) {
      const account = await rows.maybeOne(sql.type(sessionAccount)`SELECT a.id, a.role, a.access_version AS version
        FROM refresh_tokens t JOIN accounts a ON a.id = t.account_id
        WHERE t.token_hash = ${hashOf(token)} AND t.expires_at > now() AND NOT a.locked`);
      return account ?? undefined;
    },

    async close({ token, sessionId }) {
      const { rowCount } = await rows.query(sql.unsafe`WITH ${inTurn}, ${pruneExpired},
        closed AS (DELETE FROM refresh_tokens USING turn
          WHERE token_hash = ${hashOf(token)} AND expires_at > now() RETURNING account_id),
        recorded AS (INSERT INTO access_changes (account_id, session_id, needed_until)
          SELECT account_id, ${sessionId}, ${neededUntil} FROM closed RETURNING 1)
        SELECT ${notifyProcesses} FROM recorded`);
      return rowCount > 0;
    },
  };
}
