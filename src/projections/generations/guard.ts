import { unavailable } from '../../errors.ts';
import type { Position } from '../../events/record.ts';
import { sleep } from '../../concurrency/sleep.ts';
import type { Client, Database } from '../../postgres/pool.ts';

/**
 * The guard of one generation as one connection sees it. The projector commits asynchronously, so a crash of Postgres can
 * undo commits that were announced; the log still has their records. The guard's row is gone after any crash.
 */
export interface GuardSession {
  isSet(): Promise<boolean>;
  /**
   * Sets the guard in a statement that sees every checkpoint at or past `ends`; returns false when one is before. A stopped
   * partition counts as reached: no write to it is answered, and storing its reason made everything applied before durable.
   */
  setIfReached(ends: readonly Position[]): Promise<boolean>;
}

export interface GuardOptions {
  /** Asks the log for its ends. It is called after connecting, so that nothing announced before can be beyond them. */
  readonly ends: () => Promise<readonly Position[]>;
  /** Wait for the ends of the log even if the guard is set, because no connection of this process has done so yet. */
  readonly catchUp: boolean;
  readonly pause: () => Promise<void>;
  /** How often the checkpoints are read before giving up. */
  readonly tries: number;
}

/** Lets a new connection pass once everything that was announced is certainly among the rows that it reads. */
export async function passGuard(session: GuardSession, { ends, catchUp, pause, tries }: GuardOptions): Promise<void> {
  if (!catchUp && (await session.isSet())) return;
  const target = await ends();
  for (let left = tries; left > 0; left--) {
    if (await session.setIfReached(target)) return;
    await pause();
  }
  throw unavailable('CATCHING_UP', 'The read models have not caught up with the log yet.');
}

export const guardPause = (signal: AbortSignal) => () => sleep(25, signal);

/** The guard of the generation that is first on the connection's search path. */
export function guardOf(client: Client, generation: number): GuardSession {
  return {
    async isSet() {
      return (await client.query('SELECT FROM crash_guard WHERE generation = $1', [generation])).rowCount === 1;
    },
    async setIfReached(ends) {
      const { rows } = await client.query<{ reached: boolean }>(SET_IF_REACHED, [generation, JSON.stringify(ends)]);
      return rows[0]?.reached ?? false;
    },
  };
}

/** SQL that is true where every checkpoint is at or past the ends in the parameter. */
const reached = (ends: string) => `NOT EXISTS (
    SELECT FROM json_to_recordset(${ends}) AS e (topic text, partition int, "offset" bigint)
    LEFT JOIN checkpoints c USING (topic, partition)
    WHERE c.next IS NULL OR (c.next < e."offset" AND c.stopped IS NULL))`;

/** Whether the generation that is first on the search path has reached these ends. */
export async function hasReached(database: Database, ends: readonly Position[]): Promise<boolean> {
  const text = `SELECT ${reached('$1')} AS reached`;
  const [row] = await database.query<{ reached: boolean }>({ text, values: [JSON.stringify(ends)] });
  return row?.reached ?? false;
}

/**
 * Whether the generation shows everything that the log held up to these ends. A stopped partition or a quarantined stream can
 * hold records that no row shows yet.
 */
export async function tellsAll(database: Database, ends: readonly Position[]): Promise<boolean> {
  const text = `SELECT ${reached('$1')} AND NOT EXISTS (SELECT FROM checkpoints WHERE stopped IS NOT NULL)
    AND NOT EXISTS (SELECT FROM quarantine) AS complete`;
  const [row] = await database.query<{ complete: boolean }>({ text, values: [JSON.stringify(ends)] });
  return row?.complete ?? false;
}

const SET_IF_REACHED = `WITH seen AS (
  SELECT ${reached('$2')} AS reached
), guard AS (
  INSERT INTO crash_guard SELECT $1::integer FROM seen WHERE reached ON CONFLICT DO NOTHING
) SELECT reached FROM seen`;
