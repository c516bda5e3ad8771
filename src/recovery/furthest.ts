import type { Placement } from '../events/placement.ts';
import { partitionKey, type TopicPartition } from '../events/record.ts';
import type { Database } from '../postgres/pool.ts';
import { type Generation, listGenerations } from '../projections/generations/generations.ts';

/** The checkpoint of a partition, and the schema of the read models that have reached it. */
export interface Applied extends TopicPartition {
  /** Offset of the next record to apply; 0 where nothing is applied. */
  readonly next: number;
  /** Undefined where there are no read models. */
  readonly schema: string | undefined;
}

/** A record that Postgres has accepted. */
export interface AcceptedRecord {
  readonly offset: number;
  readonly id: string;
  readonly stream: string;
  readonly headers: Record<string, string>;
  readonly value: Buffer;
}

const ROWS = 500;

export const servingGenerations = async (database: Database): Promise<Generation[]> =>
  (await database.use(listGenerations)).filter(({ state }) => state === 'serving');

/** For every partition, the read models that have applied most of it. Several serve while a rebuild takes over. */
export async function furthestApplied(database: Database, placement: Placement): Promise<Applied[]> {
  const furthest = new Map<string, Applied>();
  for (const { schema } of await servingGenerations(database)) {
    const text = `SELECT topic, partition, next FROM "${schema}".checkpoints`;
    for (const row of await database.query<TopicPartition & { next: number }>({ text })) {
      const key = partitionKey(row);
      if (row.next > (furthest.get(key)?.next ?? 0)) furthest.set(key, { ...row, schema });
    }
  }
  return placement.all.map((where) => furthest.get(partitionKey(where)) ?? { ...where, next: 0, schema: undefined });
}

/** The id by offset of every record of the partition that Postgres has accepted before `next`. */
export async function acceptedIds(
  database: Database,
  { schema, topic, partition, next }: Applied,
): Promise<Map<number, string>> {
  if (schema === undefined) return new Map();
  const text = `SELECT "offset", record_id AS id FROM "${schema}".stream_events
    WHERE topic = $1 AND partition = $2 AND "offset" < $3`;
  const rows = await database.query<{ offset: number; id: string }>({ text, values: [topic, partition, next] });
  return new Map(rows.map(({ offset, id }) => [offset, id]));
}

/** The accepted records from `from` on, in the order of the log, 500 at a time. */
export async function* acceptedFrom(
  database: Database,
  { schema, topic, partition }: Applied,
  from: number,
): AsyncGenerator<AcceptedRecord[], void> {
  if (schema === undefined) throw new Error(`Postgres has no records of ${partitionKey({ topic, partition })}.`);
  const text = `SELECT "offset", record_id AS id, stream, headers, value FROM "${schema}".stream_events
    WHERE topic = $1 AND partition = $2 AND "offset" >= $3 ORDER BY "offset" LIMIT ${ROWS}`;
  for (let [next, isFull] = [from, true]; isFull;) {
    const rows = await database.query<AcceptedRecord & Record<string, unknown>>({
      text,
      values: [topic, partition, next],
    });
    yield rows;
    next = (rows.at(-1)?.offset ?? next) + 1;
    isFull = rows.length === ROWS;
  }
}

/** The number of events from `from` on, by type. */
export async function typesFrom(
  database: Database,
  { schema, topic, partition }: Applied,
  from: number,
): Promise<Map<string, number>> {
  if (schema === undefined) return new Map();
  const text = `SELECT type, count(*)::int AS count FROM "${schema}".stream_events
    WHERE topic = $1 AND partition = $2 AND "offset" >= $3 GROUP BY type ORDER BY type`;
  const rows = await database.query<{ type: string; count: number }>({ text, values: [topic, partition, from] });
  return new Map(rows.map(({ type, count }) => [type, count]));
}
