import { partitionKey, type Position, type TopicPartition } from '../../events/record.ts';
import type { Database } from '../../postgres/pool.ts';
import type { Durability, NewTopic, TopicDescription } from '../event-log.ts';

interface TopicRow {
  topic: string;
  partitions: number;
  retention_ms: number;
  compacted: boolean;
}

interface OffsetRow {
  topic: string;
  partition: number;
  offset: number;
}

export async function describeTopics(database: Database, topics: readonly string[]): Promise<TopicDescription[]> {
  const text = `SELECT topic, partitions, retention_ms, compacted FROM log_topics WHERE topic = ANY ($1::text[])`;
  const rows = await database.query<TopicRow>({ text, values: [topics] });
  return rows.map(({ topic, partitions, ...row }) => ({ topic, partitions, replicas: 1, settings: settingsOf(row) }));
}

/** Settings by Kafka's names. The embedded log compacts nothing, because its compacted topics are small. */
const settingsOf = ({ retention_ms, compacted }: Pick<TopicRow, 'retention_ms' | 'compacted'>) => ({
  'cleanup.policy': compacted ? 'compact' : 'delete',
  'retention.ms': String(retention_ms),
  'retention.bytes': '-1',
});

/** Every partition of the topics; throws when one of them does not exist. */
export async function partitionsOf(database: Database, topics: readonly string[]): Promise<TopicPartition[]> {
  const found = new Map((await describeTopics(database, topics)).map((topic) => [topic.topic, topic.partitions]));
  return topics.flatMap((topic) => {
    const partitions = found.get(topic);
    if (partitions === undefined) throw new Error(`topic ${topic} does not exist`);
    return Array.from({ length: partitions }, (_, partition) => ({ topic, partition }));
  });
}

export async function createTopics(database: Database, topics: readonly NewTopic[]): Promise<void> {
  const text = `
    WITH made AS (
      INSERT INTO log_topics (topic, partitions, retention_ms, compacted)
      SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[], $4::boolean[])
      ON CONFLICT DO NOTHING RETURNING topic, partitions
    )
    INSERT INTO log_partitions (topic, partition)
    SELECT topic, partition FROM made, generate_series(0, partitions - 1) AS partition`;
  const columns = [
    topics.map(({ topic }) => topic),
    topics.map(({ partitions }) => partitions),
    topics.map(({ retentionMs }) => retentionMs),
    topics.map(({ compacted = false }) => compacted),
  ];
  await database.query({ text, values: columns });
}

export async function deleteTopics(database: Database, topics: readonly string[]): Promise<void> {
  const text = `
    WITH emptied AS (DELETE FROM log_records WHERE topic = ANY ($1::text[])),
    parted AS (DELETE FROM log_partitions WHERE topic = ANY ($1::text[]))
    DELETE FROM log_topics WHERE topic = ANY ($1::text[])`;
  await database.query({ text, values: [topics] });
}

/** The next offset of each partition. Throws for a partition that does not exist. */
export function endsOf(database: Database, partitions: readonly TopicPartition[]): Promise<Position[]> {
  return offsetsOf(database, partitions, 'next_offset');
}

/** The first offset of each partition that is not deleted. Throws for a partition that does not exist. */
export function beginsOf(database: Database, partitions: readonly TopicPartition[]): Promise<Position[]> {
  const first = `(SELECT r."offset" FROM log_records r
    WHERE r.topic = p.topic AND r.partition = p.partition ORDER BY r."offset" LIMIT 1)`;
  return offsetsOf(database, partitions, `coalesce(${first}, next_offset)`);
}

async function offsetsOf(
  database: Database,
  partitions: readonly TopicPartition[],
  offset: string,
): Promise<Position[]> {
  const text = `
    SELECT topic, partition, ${offset} AS "offset"
    FROM log_partitions p JOIN unnest($1::text[], $2::int[]) AS asked(topic, partition) USING (topic, partition)`;
  const values = [partitions.map(({ topic }) => topic), partitions.map(({ partition }) => partition)];
  const rows = await database.query<OffsetRow>({ text, values });
  const offsets = new Map(rows.map(({ topic, partition, offset }) => [partitionKey({ topic, partition }), offset]));
  return partitions.map(({ topic, partition }) => {
    const found = offsets.get(partitionKey({ topic, partition }));
    if (found === undefined) throw new Error(`topic ${topic} has no partition ${partition}`);
    return { topic, partition, offset: found };
  });
}

/** Deletes records past their topic's retention, one topic at a time, so that topics without a limit are not scanned. */
export async function deleteExpired(database: Database): Promise<void> {
  const text = `SELECT topic, retention_ms FROM log_topics WHERE retention_ms >= 0`;
  for (const { topic, retention_ms } of await database.query<TopicRow>({ text })) {
    await database.query({
      text: `DELETE FROM log_records WHERE topic = $1 AND appended_at < now() - $2 * interval '1 millisecond'`,
      values: [topic, retention_ms],
    });
  }
}

const SETTINGS = ['fsync', 'full_page_writes', 'synchronous_commit'] as const;

export async function durabilityOf(database: Database): Promise<Durability> {
  const text = `SELECT name FROM unnest($1::text[]) AS name WHERE current_setting(name) = 'off'`;
  const off = (await database.query<{ name: string }>({ text, values: [SETTINGS] })).map(({ name }) => name);
  return off.length === 0
    ? { durable: true, why: 'Postgres flushes every append to disk before it acknowledges it' }
    : { durable: false, why: `Postgres runs with ${off.join(' and ')} off: a power cut can lose or tear appends` };
}
