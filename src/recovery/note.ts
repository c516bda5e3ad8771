import type { Queries } from '../log/identity.ts';

/** What an operator has chosen. */
export const WAYS = ['append', 'anew', 'follow', 'restored'] as const;
export type Way = (typeof WAYS)[number];

/** How far a new incarnation has come: what only the log had is kept in Postgres; its first records are there. */
type Step = 'begun' | 'staged' | 'opened';

/** A recovery that was begun and has not ended. */
export interface Recovery {
  readonly way: Way;
  readonly step: Step;
  /** Of the log that it makes, where it makes one. */
  readonly incarnation: string;
  readonly begunAt: Date;
}

export async function readRecovery(database: Queries): Promise<Recovery | undefined> {
  const text = `SELECT way, step, incarnation, begun_at AS "begunAt" FROM log_recovery`;
  const [row] = await database.query<Recovery & Record<string, unknown>>({ text });
  return row;
}

/** Notes that it is begun, before anything is changed. */
export async function noteRecovery(database: Queries, way: Way): Promise<Recovery> {
  const text = `INSERT INTO log_recovery (way) VALUES ($1) RETURNING way, step, incarnation, begun_at AS "begunAt"`;
  const [row] = await database.query<Recovery & Record<string, unknown>>({ text, values: [way] });
  if (!row) throw new Error('The recovery could not be noted.');
  return row;
}

export async function noteStep(database: Queries, step: Step): Promise<void> {
  await database.query({ text: 'UPDATE log_recovery SET step = $1', values: [step] });
}

/** Of one that has changed nothing, or whose way does not lead on: the next run asks again. */
export async function forgetRecovery(database: Queries): Promise<void> {
  await database.query({ text: 'DELETE FROM log_recovery' });
}

/** Throws while a recovery has not ended: what log and Postgres say of each other is not true yet. */
export async function refuseUnfinished(database: Queries): Promise<void> {
  const [reason] = await unfinishedRecovery(database);
  if (reason !== undefined) throw new Error(reason);
}

/** For people: that a recovery has not ended. Empty where none has begun. */
export async function unfinishedRecovery(database: Queries): Promise<string[]> {
  const recovery = await readRecovery(database);
  const since = recovery?.begunAt.toISOString();
  return recovery
    ? [
        `A recovery of the log was begun at ${since} and has not ended. Run \`npm run openmusic -- log recover\`: it goes on with it.`,
      ]
    : [];
}
