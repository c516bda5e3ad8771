import { sql } from 'slonik';
import { lockUntilEnd } from '../postgres/advisory-lock.ts';
import { fragmentOf } from '../postgres/rows.ts';
import { MAX_ACCESS_TOKEN_AGE, SPARE_SECONDS } from './token-age.ts';

/** True, after taking a lock that lasts until the end of the transaction. */
export const acquireTurn = fragmentOf(`${lockUntilEnd(`current_schema() || ' access'`)} IS NOT NULL`);

/** Transactions get ids of changes one after the other, so that no lower id appears after a higher one was read. */
export const inTurn = sql.fragment`turn AS MATERIALIZED (SELECT ${acquireTurn})`;

/** Deletes changes that concern no valid token any more; runs with each new change. */
export const pruneExpired = sql.fragment`pruned AS (DELETE FROM access_changes WHERE needed_until < now())`;

/** Notifies the channel that every process listens on. Without a notice a process notices the change within a second. */
export const notifyProcesses = sql.fragment`pg_notify(current_schema() || ' access', '')`;

export const accessChannel = (namespace: string): string => `${namespace} access`;

/**
 * When the last token that a change concerns has expired in every process. The token age is configured per server and can change at
 * its next start, so the largest allowed age is used.
 */
export const neededUntil = sql.fragment`now() + make_interval(secs => ${MAX_ACCESS_TOKEN_AGE + SPARE_SECONDS})`;
