import type { Queries } from '../log/identity.ts';

/** The choices of an operator. */
export const WAYS = ['append', 'anew', 'follow', 'restored'] as const;
export type Way = (typeof WAYS)[number];

/** `staged`: the records that only the old log had are stored in Postgres. `opened`: the new log has its genesis records. */
type Step = 'begun' | 'staged' | 'opened';

/** A recovery that has begun and not ended. */
export interface Recovery {
  readonly way: Way;
  readonly step: Step;
  /** The incarnation of the new log, where the recovery creates one. */
  readonly incarnation: string;
  readonly begunAt: Date;
}

export async function readRecovery(database: Queries): Promise<Recovery | undefined> {
  const text = `SELECT way, step, incarnation, begun_at AS "begunAt" FROM log_recovery`;
  const [row] = await database.query<Recovery & Record<string, unknown>>({ text });
  return row;
}

/** Notes that the recovery has begun, before anything is changed. */
export async function noteRecovery(database: Queries, way: Way): Promise<Recovery> {
  const text = `INSERT INTO log_recovery (way) VALUES ($1) RETURNING way, step, incarnation, begun_at AS "begunAt"`;
  const [row] = await database.query<Recovery & Record<string, unknown>>({ text, values: [way] });
  if (!row) throw new Error('The recovery could not be noted.');
  return row;
}

export async function noteStep(database: Queries, step: Step): Promise<void> {
  await database.query({ text: 'UPDATE log_recovery SET step = $1', values: [step] });
}

/** Deletes the note of a recovery that has changed nothing or cannot go on. The next run asks the operator again. */
export async function forgetRecovery(database: Queries): Promise<void> {
  await database.query({ text: 'DELETE FROM log_recovery' });
}

/** Rejects while a recovery has not ended, because log and Postgres do not agree yet. */
export async function refuseUnfinished(database: Queries): Promise<void> {
  const [reason] = await unfinishedRecovery(database);
  if (reason !== undefined) throw new Error(reason);
}

/** A message for people that a recovery has not ended. Empty when there is none. */
export async function unfinishedRecovery(database: Queries): Promise<string[]> {
  const recovery = await readRecovery(database);
  const since = recovery?.begunAt.toISOString();
  return recovery
    ? [
        `A recovery of the log was begun at ${since} and has not ended. Run \`npm run openmusic -- log recover\` to continue it.`,
      ]
    : [];
}
