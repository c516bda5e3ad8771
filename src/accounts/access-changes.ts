import { sql } from 'slonik';
import { MAX_ACCESS_TOKEN_AGE, SPARE_SECONDS } from './token-age.ts';

/** Locks until the end of the transaction, and is true. */
export const acquireTurn = sql.fragment`pg_advisory_xact_lock(hashtextextended(current_schema() || ' access', 0)) IS NOT NULL`;

/** Ids of changes are given one transaction after the other, so that none appears below one that was read. */
export const inTurn = sql.fragment`turn AS MATERIALIZED (SELECT ${acquireTurn})`;

/** What is over for all tokens goes with the next change. */
export const pruneExpired = sql.fragment`forgotten AS (DELETE FROM access_changes WHERE needed_until < now())`;

/** On the channel that every process listens on. A lost notice costs a second. */
export const notifyProcesses = sql.fragment`pg_notify(current_schema() || ' access', '')`;

export const accessChannel = (namespace: string): string => `${namespace} access`;

/**
 * When the last token that a change is about has expired in every process. A command does not know the age that servers were
 * started with, nor a server that of others, or of its next start: so it is the greatest that there can be.
 */
export const neededUntil = sql.fragment`now() + make_interval(secs => ${MAX_ACCESS_TOKEN_AGE + SPARE_SECONDS})`;
