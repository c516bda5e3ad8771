import type { LogOwner } from '../events/genesis.ts';
import type { Database } from '../postgres/pool.ts';

/** The incarnation of the log that a database belongs to, and the log's owner. */
export interface LogIdentity {
  readonly incarnation: string;
  /** False until `log init` has finished. */
  readonly initialised: boolean;
  /** As noted in this database; null for an embedded log. */
  readonly owner: LogOwner | null;
  /** The owner was this database, under the identity that it had at that time. */
  readonly owned: boolean;
}

/** A pool, or one connection of it. */
export type Queries = Pick<Database, 'query'>;

interface Row extends Record<string, unknown> {
  readonly incarnation: string;
  readonly initialised: boolean;
  readonly systemIdentifier: string | null;
  readonly databaseOid: string | null;
  readonly owned: boolean;
}

export async function readIdentity(database: Queries): Promise<LogIdentity | undefined> {
  const text = `SELECT incarnation, initialised_at IS NOT NULL AS initialised,
      owner_system_identifier AS "systemIdentifier", owner_database_oid AS "databaseOid", owned FROM log_identity`;
  const [row] = await database.query<Row>({ text });
  if (!row) return undefined;
  const { incarnation, initialised, systemIdentifier, databaseOid, owned } = row;
  const owner = systemIdentifier !== null && databaseOid !== null ? { systemIdentifier, databaseOid } : null;
  return { incarnation, initialised, owner, owned };
}

/** Does nothing where an identity is stored already. */
export async function writeIdentity(
  database: Queries,
  { incarnation, initialised, owner, owned }: LogIdentity,
): Promise<void> {
  await database.query({
    text: `INSERT INTO log_identity (incarnation, initialised_at, owner_system_identifier, owner_database_oid, owned)
      VALUES ($1, CASE WHEN $2 THEN now() END, $3, $4, $5) ON CONFLICT DO NOTHING`,
    values: [incarnation, initialised, owner?.systemIdentifier, owner?.databaseOid, owned],
  });
}

export async function markInitialised(database: Queries): Promise<void> {
  await database.query({ text: `UPDATE log_identity SET initialised_at = now() WHERE initialised_at IS NULL` });
}
