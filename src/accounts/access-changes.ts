import { sql } from 'slonik';

/** Ids of changes are given one transaction after the other, so that none appears below one that was read. */
export const inTurn = sql.fragment`turn AS MATERIALIZED (
  SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || ' access', 0)))`;

/** What is over for all tokens goes with the next change. */
export const forgetOld = sql.fragment`forgotten AS (DELETE FROM access_changes WHERE needed_until < now())`;

/** On the channel that every process listens on. A lost notice costs a second. */
export const tellAll = sql.fragment`pg_notify(current_schema() || ' access', '')`;

export const accessChannel = (namespace: string): string => `${namespace} access`;

/** A token is made before its change is, and clocks of processes differ. */
const SPARE_SECONDS = 300;

/** When the last token that a change is about has expired. `age` of an access token in seconds. */
export const neededUntil = (age: number) => sql.fragment`now() + make_interval(secs => ${age + SPARE_SECONDS})`;
