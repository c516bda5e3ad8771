import type { Database } from '../postgres/pool.ts';

/** Which life of the log a database belongs to. */
export interface LogIdentity {
  readonly incarnation: string;
  /** False while `log init` has not come to its end. */
  readonly initialised: boolean;
}

/** A pool, or one connection of it. */
export type Queries = Pick<Database, 'query'>;

export async function readIdentity(database: Queries): Promise<LogIdentity | undefined> {
  const text = `SELECT incarnation, initialised_at IS NOT NULL AS initialised FROM log_identity`;
  const [row] = await database.query<{ incarnation: string; initialised: boolean }>({ text });
  return row;
}

/** Only for a database that has none. */
export async function writeIdentity(database: Queries, { incarnation, initialised }: LogIdentity): Promise<void> {
  await database.query({
    text: `INSERT INTO log_identity (incarnation, initialised_at) VALUES ($1, CASE WHEN $2 THEN now() END)`,
    values: [incarnation, initialised],
  });
}

export async function markInitialised(database: Queries): Promise<void> {
  await database.query({ text: `UPDATE log_identity SET initialised_at = now() WHERE initialised_at IS NULL` });
}
