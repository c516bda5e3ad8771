import { isDeepStrictEqual } from 'node:util';
import type { Position, StoredRecord } from '../../../src/events/record.ts';
import { partitionKey, showPosition } from '../../../src/events/record.ts';
import type { Database } from '../../../src/postgres/pool.ts';
import { categories } from './categories.ts';
import type { ExpectedTable, Thing } from './category.ts';
import type { Rule, Violation } from './history.ts';
import type { Accepted } from './rule.ts';
import type { World } from './world.ts';

interface Comparison extends ExpectedTable {
  readonly rule: Rule;
  /** Only these columns are compared; all of them by default. */
  readonly columns?: readonly string[];
}

/** Compares every table of the newest served generation with the log. */
export async function checkTables(database: Database, ends: readonly Position[], world: World): Promise<Violation[]> {
  const schema = await servingSchema(database);
  const comparisons: Comparison[] = [
    { rule: 'stream-events-differ', name: 'stream_events', key: 'record_id', rows: streamEvents },
    { ...checkpointsAt(ends), rule: 'checkpoint-differs', columns: ['topic', 'partition', 'next', 'stopped'] },
    {
      rule: 'quarantined',
      name: 'quarantine',
      key: 'stream',
      columns: ['stream', 'version', 'record_id'],
      rows: closed,
    },
    ...categories.flatMap(({ tables }) => tables.map((table): Comparison => ({ ...table, rule: 'rows-differ' }))),
  ];
  await mustBeDescribed(
    database,
    schema,
    comparisons.map(({ name }) => name),
  );
  const found = await Promise.all(comparisons.map((each) => compare(database, schema, each, world)));
  return found.flat();
}

export async function servingSchema(database: Database): Promise<string> {
  const text = `SELECT schema_name AS schema FROM generations WHERE state = 'serving' ORDER BY version DESC, generation DESC`;
  const [newest] = await database.query<{ schema: string }>({ text });
  if (!newest) throw new Error('No generation is served.');
  return newest.schema;
}

/** A table that no category describes would not be checked. */
async function mustBeDescribed(database: Database, schema: string, described: readonly string[]): Promise<void> {
  const text = 'SELECT table_name AS name FROM information_schema.tables WHERE table_schema = $1';
  const tables = await database.query<{ name: string }>({ text, values: [schema] });
  const unknown = tables.find(({ name }) => !described.includes(name));
  if (unknown) throw new Error(`The history checker has no category that describes the table ${unknown.name}.`);
}

async function compare(database: Database, schema: string, comparison: Comparison, world: World): Promise<Violation[]> {
  const { name, key, columns, rule } = comparison;
  const found = await database.query<Record<string, unknown>>({
    text: `SELECT ${columns?.join(', ') ?? '*'} FROM "${schema}".${name}`,
  });
  const expected = new Map(comparison.rows(world).map((row) => [keyOf(row, key), row]));
  const actual = new Map(found.map((row) => [keyOf(row, key), row]));
  const keys = [...new Set([...expected.keys(), ...actual.keys()])];
  return keys.flatMap((each): Violation[] => {
    const [is, must] = [actual.get(each), expected.get(each)];
    if (is && must && isDeepStrictEqual({ ...is }, { ...must })) return [];
    return [{ rule, message: `${name} has ${show(is)}; the log makes it ${show(must)}` }];
  });
}

const keyOf = (row: Thing, key: string) =>
  key
    .split(',')
    .map((column) => String(row[column]))
    .join();
const show = (row: Thing | undefined) => (row === undefined ? 'no row' : JSON.stringify(row, bytesAsHex));
const bytesAsHex = (_: string, value: unknown) => (Buffer.isBuffer(value) ? value.toString('hex') : value);

const streamEvents = (world: World): Thing[] => world.streams.flatMap(({ accepted }) => accepted.map(streamEvent));

function streamEvent({ stream, version, id, commandId, record }: Accepted): Thing {
  const { topic, partition, offset, headers, value }: StoredRecord = record;
  return {
    stream,
    version,
    record_id: id,
    command_id: commandId,
    topic,
    partition,
    offset,
    type: headers.ce_type,
    body_hash: headers.ce_bodyhash,
    headers,
    value,
  };
}

/** Streams by the record that closed them. */
const closed = (world: World): Thing[] =>
  world.streams.flatMap(({ id, accepted }) => {
    const culprit = accepted.find(({ event }) => event.type === 'undecodable');
    return culprit ? [{ stream: id, version: culprit.version, record_id: culprit.id }] : [];
  });

const checkpointsAt = (ends: readonly Position[]): ExpectedTable => ({
  name: 'checkpoints',
  key: 'topic,partition',
  rows: () => ends.map(({ topic, partition, offset }) => ({ topic, partition, next: offset, stopped: null })),
});

/** Where the newest served generation is not yet at the end of the log. */
export async function behind(database: Database, ends: readonly Position[]): Promise<string[]> {
  const schema = await servingSchema(database);
  const text = `SELECT topic, partition, next AS "offset" FROM "${schema}".checkpoints`;
  const checkpoints = new Map(
    (await database.query<Position & Record<string, unknown>>({ text })).map((each) => [
      partitionKey(each),
      each.offset,
    ]),
  );
  return ends.flatMap((end) => {
    const next = checkpoints.get(partitionKey(end)) ?? 0;
    return next < end.offset ? [`${showPosition(end)}, applied up to ${next}`] : [];
  });
}
