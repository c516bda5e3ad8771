import type { QueryConfig } from 'pg';
import { z } from 'zod';
import type { Placement } from '../../events/placement.ts';
import type { TopicPartition } from '../../events/record.ts';
import { shareGeneration, tryLockGeneration } from '../../postgres/advisory-lock.ts';
import type { GenerationUse } from '../../postgres/generation-lock.ts';
import { type Client, transaction } from '../../postgres/pool.ts';
import type { Projection } from '../engine/table.ts';
import { streamEvents } from '../../event-store/stream-index.ts';
import { checkpointDdl } from '../engine/statement.ts';

/** One set of tables of one version of the read models, in a schema of its own. */
export interface Generation {
  readonly id: number;
  readonly version: number;
  /** Counts the generations of a version, from 1. */
  readonly number: number;
  readonly schema: string;
  readonly state: 'building' | 'serving' | 'retired';
}

const COLUMNS = 'id, version, generation AS number, schema_name AS schema, state';

const generationRows = z.array(
  z.object({
    id: z.int(),
    version: z.int(),
    number: z.int(),
    schema: z.string(),
    state: z.enum(['building', 'serving', 'retired']),
  }),
);

const generationsIn = async (client: Client, query: QueryConfig): Promise<Generation[]> =>
  generationRows.parse((await client.query(query)).rows);

export const listGenerations = (client: Client): Promise<Generation[]> =>
  generationsIn(client, { text: `SELECT ${COLUMNS} FROM generations ORDER BY id` });

/** The serving generations of a version, the newest first. */
export function servingGenerations(client: Client, version: number): Promise<Generation[]> {
  const text = `SELECT ${COLUMNS} FROM generations WHERE version = $1 AND state = 'serving' ORDER BY generation DESC`;
  return generationsIn(client, { name: 'serving-generations', text, values: [version] });
}

export interface GenerationPlan {
  readonly placement: Placement;
  readonly version: number;
  readonly projections: readonly Projection[];
}

/** Creates an empty generation: its schema, its tables, a checkpoint at 0 for every partition. */
export function createGeneration(
  client: Client,
  { placement, version, projections }: GenerationPlan,
): Promise<Generation> {
  return transaction(client, async () => {
    const { rows: numbers } = await client.query<{ next: number }>(
      'SELECT coalesce(max(generation), 0) + 1 AS next FROM generations WHERE version = $1',
      [version],
    );
    const number = numbers[0]?.next ?? 1;
    const schema = `${placement.namespace}_read_${version}_${number}`;
    const [generation] = await generationsIn(client, {
      text: `INSERT INTO generations (version, generation, schema_name, state) VALUES ($1, $2, $3, 'building') RETURNING ${COLUMNS}`,
      values: [version, number, schema],
    });
    if (!generation) throw new Error('Postgres returned no row for the new generation.');
    await makeTables(client, schema, [streamEvents.ddl, ...projections.map(({ ddl }) => ddl)], placement.all);
    return generation;
  });
}

/** Creates tables in a schema of their own, with a checkpoint at 0 for every partition. The caller opens the transaction. */
export async function makeTables(
  client: Client,
  schema: string,
  ddl: readonly string[],
  partitions: readonly TopicPartition[],
): Promise<void> {
  await client.query(`CREATE SCHEMA "${schema}"; SET LOCAL search_path = "${schema}", public`);
  await client.query([checkpointDdl, ...ddl].join(';\n'));
  await client.query(
    'INSERT INTO checkpoints (topic, partition) SELECT * FROM json_to_recordset($1) AS p (topic text, partition int)',
    [JSON.stringify(partitions)],
  );
}

/** Marks the generation as used until the connection closes. Returns false when it no longer serves. */
export async function holdGeneration(
  client: Client,
  namespace: string,
  use: GenerationUse,
  id: number,
): Promise<boolean> {
  await shareGeneration(client, use, namespace, id);
  const { rowCount } = await client.query(`SELECT FROM generations WHERE id = $1 AND state = 'serving'`, [id]);
  return rowCount === 1;
}

/**
 * Retires the generations of the version that are older than `newest` and that no process reads any more, and drops retired
 * ones that no projector feeds. Returns the older generations that are still read.
 */
export async function retireOlder(client: Client, namespace: string, newest: Generation): Promise<Generation[]> {
  const older = await generationsIn(client, {
    name: 'older-generations',
    text: `SELECT ${COLUMNS} FROM generations
      WHERE version = $1 AND generation < $2 AND to_regnamespace(quote_ident(schema_name)) IS NOT NULL ORDER BY id`,
    values: [newest.version, newest.number],
  });
  const stillRead: Generation[] = [];
  for (const generation of older) {
    if (generation.state !== 'retired' && !(await retire(client, namespace, generation))) stillRead.push(generation);
    else await dropUnfed(client, namespace, generation);
  }
  return stillRead;
}

function retire(client: Client, namespace: string, { id }: Generation): Promise<boolean> {
  return transaction(client, async () => {
    if (!(await tryLockGeneration(client, 'read', namespace, id))) return false;
    await client.query(`UPDATE generations SET state = 'retired', retired_at = now() WHERE id = $1`, [id]);
    return true;
  });
}

function dropUnfed(client: Client, namespace: string, { id, schema }: Generation): Promise<void> {
  return transaction(client, async () => {
    if (!(await tryLockGeneration(client, 'feed', namespace, id))) return;
    await client.query(`DROP SCHEMA IF EXISTS "${schema}" CASCADE`);
    await client.query('DELETE FROM crash_guard WHERE generation = $1', [id]);
  });
}
