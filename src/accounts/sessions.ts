import { createHash } from 'node:crypto';
import { sql } from 'slonik';
import { z } from 'zod';
import type { Rows } from '../postgres/rows.ts';
import { type Account, role } from './accounts.ts';

/** The refresh tokens that are good. Only their hashes are kept: whoever reads the table cannot log in with it. */
export interface Sessions {
  open(token: string, account: string, expiresAt: Date): Promise<void>;
  /** The account as it is now; undefined when the token is unknown, revoked or expired. */
  find(token: string): Promise<Account | undefined>;
  /** False when there was nothing to revoke. */
  close(token: string): Promise<boolean>;
}

/** Of one account: one more ends the oldest. */
const MAX_SESSIONS = 1_000;

const found = z.strictObject({ id: z.string(), role });

const hashOf = (token: string) => sql.binary(createHash('sha256').update(token).digest());

export function createSessions(rows: Rows): Sessions {
  return {
    async open(token, account, expiresAt) {
      await rows.query(sql.unsafe`WITH ended AS (DELETE FROM refresh_tokens WHERE account_id = ${account} AND (expires_at < now() OR token_hash IN (
          SELECT token_hash FROM refresh_tokens WHERE account_id = ${account} AND expires_at >= now()
          ORDER BY expires_at DESC, token_hash OFFSET ${MAX_SESSIONS - 1})))
        INSERT INTO refresh_tokens (token_hash, account_id, expires_at)
        VALUES (${hashOf(token)}, ${account}, ${sql.timestamp(expiresAt)})`);
    },

    async find(token) {
      const account = await rows.maybeOne(sql.type(found)`SELECT a.id, a.role FROM refresh_tokens t
        JOIN accounts a ON a.id = t.account_id WHERE t.token_hash = ${hashOf(token)} AND t.expires_at > now()`);
      return account ?? undefined;
    },

    async close(token) {
      const { rowCount } = await rows.query(
        sql.unsafe`DELETE FROM refresh_tokens WHERE token_hash = ${hashOf(token)} AND expires_at > now()`,
      );
      return rowCount > 0;
    },
  };
}
