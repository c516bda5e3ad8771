import { reasonOf } from '../../errors.ts';
import { partitionKey, type LogRecord, type StoredRecord, type TopicPartition } from '../../events/record.ts';
import { type Database, sqlState } from '../../postgres/pool.ts';
import { type Append, AppendError } from '../event-log.ts';
import { binaryArray } from './binary-array.ts';

/** A batch's records of one partition. */
interface Run extends TopicPartition {
  readonly records: LogRecord[];
}

/** The base offset that a run was given. */
interface Moved {
  run: number;
  base: number;
}

/**
 * One statement is one transaction and one round trip. The partitions are locked in one order, so that batches cannot
 * deadlock, and stay locked until the commit, so that offsets are dense in commit order. A statement that has waited for a
 * lock uses the newest row, because UPDATE evaluates `next_offset + count` again on it. A partition that does not exist
 * yields NULLs, which the table refuses.
 */
const APPEND = {
  name: 'log append',
  text: `
    WITH runs AS (
      SELECT * FROM unnest($1::text[], $2::int[], $3::int[]) WITH ORDINALITY AS run(topic, partition, count, run)
    ), locked AS (
      SELECT runs.* FROM runs JOIN log_partitions p USING (topic, partition)
      ORDER BY topic, partition FOR NO KEY UPDATE OF p
    ), moved AS (
      UPDATE log_partitions p SET next_offset = p.next_offset + locked.count
      FROM locked WHERE p.topic = locked.topic AND p.partition = locked.partition
      RETURNING locked.run, p.topic, p.partition, p.next_offset - locked.count AS base
    ), added AS (
      INSERT INTO log_records (topic, partition, "offset", key, value, headers)
      SELECT moved.topic, moved.partition, moved.base + record.nth, record.key, record.value, record.headers
      FROM unnest($4::int[], $5::int[], $6::text[], $7::bytea[], $8::json[]) AS record(run, nth, key, value, headers)
      LEFT JOIN moved USING (run)
    )
    SELECT run, base FROM moved`,
};

/** Appends the batch. Returns its records with their offsets. Rejects with an AppendError. */
export async function append(database: Database, batch: readonly Append[]): Promise<StoredRecord[]> {
  const unfit = batch.find(({ record }) => !isStorable(record));
  if (unfit) throw new AppendError('refused', `key or headers of ${unfit.record.key} hold NUL or half a character`);
  const runs = runsOf(batch);
  const rows = await send(database, valuesOf(runs));
  return rows.flatMap(({ run, base }) => stored(runs[run - 1], base));
}

async function send(database: Database, values: unknown[]): Promise<Moved[]> {
  const progress = { sent: false };
  try {
    const { rows } = await database.use((client) => {
      progress.sent = true;
      return client.query<Moved>({ ...APPEND, values });
    });
    return rows;
  } catch (error) {
    throw new AppendError(progress.sent && !isRolledBack(error) ? 'unknown' : 'refused', messageOf(error), error);
  }
}

const isStorable = ({ key, headers }: LogRecord): boolean =>
  isText(key) && Object.entries(headers).every(([name, value]) => isText(name) && isText(value));

const isText = (text: string): boolean => text.isWellFormed() && !text.includes('\0');

function runsOf(batch: readonly Append[]): Run[] {
  const runs = new Map<string, Run>();
  for (const { topic, partition, record } of batch) {
    const key = partitionKey({ topic, partition });
    const run = runs.get(key);
    if (run) run.records.push(record);
    else runs.set(key, { topic, partition, records: [record] });
  }
  return [...runs.values()];
}

function valuesOf(runs: readonly Run[]): unknown[] {
  const records = runs.flatMap((run) => run.records);
  return [
    runs.map(({ topic }) => topic),
    runs.map(({ partition }) => partition),
    runs.map((run) => run.records.length),
    runs.flatMap((run, index) => run.records.map(() => index + 1)),
    runs.flatMap((run) => [...run.records.keys()]),
    binaryArray(
      'text',
      records.map(({ key }) => key),
    ),
    binaryArray(
      'bytea',
      records.map(({ value }) => value),
    ),
    binaryArray(
      'json',
      records.map(({ headers }) => JSON.stringify(headers)),
    ),
  ];
}

const stored = (run: Run | undefined, base: number): StoredRecord[] =>
  run?.records.map((record, nth) => storedRecord(run, base + nth, record)) ?? [];

export const storedRecord = (
  { topic, partition }: TopicPartition,
  offset: number,
  { key, value, headers }: LogRecord,
): StoredRecord => ({ topic, partition, offset, key, value, headers, leaderEpoch: 0 });

/** An error from the server means that the statement was rolled back, unless it ends the session: that can follow a commit. */
function isRolledBack(error: unknown): boolean {
  const state = sqlState(error);
  return state !== undefined && !/^(?:08|57P|XX|40003)/.test(state);
}

const NOT_NULL_VIOLATION = '23502';
const messageOf = (error: unknown): string =>
  sqlState(error) === NOT_NULL_VIOLATION ? 'a topic or partition of the batch does not exist' : reasonOf(error);
