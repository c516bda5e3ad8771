import { countTypesFrom, type IndexedRecord, recordIdsBefore, recordsFrom } from '../event-store/partition-events.ts';
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
  const rows = await recordIdsBefore(database, { schema, topic, partition }, next);
  return new Map(rows.map(({ offset, id }) => [offset, id]));
}

/** The accepted records from `from` on, in the order of the log, 500 at a time. */
export async function* acceptedFrom(
  database: Database,
  { schema, topic, partition }: Applied,
  from: number,
): AsyncGenerator<IndexedRecord[], void> {
  if (schema === undefined) throw new Error(`Postgres has no records of ${partitionKey({ topic, partition })}.`);
  for (let [next, isFull] = [from, true]; isFull;) {
    const rows = await recordsFrom(database, { schema, topic, partition }, next, ROWS);
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
  const rows = await countTypesFrom(database, { schema, topic, partition }, from);
  return new Map(rows.map(({ type, count }) => [type, count]));
}
