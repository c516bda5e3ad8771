import { reasonOf } from '../errors.ts';
import { eventOf } from '../event-store/judge.ts';
import { type HeadsBefore, isWinner, JudgedPartition, type Winner } from '../event-store/judged-log.ts';
import { type IndexedRecord, checkpointOf, headsBefore, recordsOfStream } from '../event-store/partition-events.ts';
import { type Envelope, readEnvelope } from '../events/envelope.ts';
import type { AnyEvent } from '../events/events.ts';
import type { Placement } from '../events/placement.ts';
import type { Position, StoredRecord, TopicPartition } from '../events/record.ts';
import type { EventLog } from '../log/event-log.ts';
import { readIdentity } from '../log/identity.ts';
import { inspectLog, LogRefused, strangers } from '../log/topics.ts';
import { type KnownVoids, readVoids } from '../log/void-topic.ts';
import type { Database } from '../postgres/pool.ts';

/** An accepted record with its event; `poison` says why its value cannot be decoded. */
export interface DecodedEvent {
  readonly record: StoredRecord;
  readonly envelope: Envelope;
  readonly payload: { readonly event: AnyEvent } | { readonly poison: string };
}

/** The log of an installation, as any of its readers judges it. */
export interface LogReading {
  readonly log: EventLog;
  readonly placement: Placement;
  readonly incarnation: string;
  readonly voids: KnownVoids;
  /** Whether judging can begin in the middle of a partition, because the read models of this database know the heads there. */
  readonly isIndexed: boolean;
  partition(from: Position): JudgedPartition;
  /** Accepted records of one stream in order, in batches. */
  stream(stream: string): AsyncGenerator<Winner[], void>;
}

export interface ReadingOptions {
  readonly log: EventLog;
  readonly placement: Placement;
  readonly admin: Database;
  /** The schema of the read models that may serve as an index; undefined where there are none. */
  readonly schema: string | undefined;
}

/** Checks that this code can judge the log. Throws LogRefused. The database need not belong to the log. */
export async function openLogReading({ log, placement, admin, schema }: ReadingOptions): Promise<LogReading> {
  const incarnation = await incarnationOf(log, placement);
  const isOurs = (await readIdentity(admin))?.incarnation === incarnation;
  const place = { log, namespace: placement.namespace, database: admin };
  const voids = await readVoids(isOurs ? place : { ...place, incarnation });
  const index = isOurs && schema !== undefined ? indexIn(admin, schema) : undefined;
  const options = { log, rules: { belongs: placement.belongs, isVoid: voids.isVoid }, index };
  const partition = (from: Position) => new JudgedPartition(options, from);
  return {
    log,
    placement,
    incarnation,
    voids,
    isIndexed: index !== undefined,
    partition,
    async *stream(stream) {
      const where = whereIs(placement, stream);
      const [end] = await log.ends([where]);
      const reach = Math.min((await index?.reach(where)) ?? 0, end?.offset ?? 0);
      if (index) yield (await index.stream(where, stream, reach)).map((row) => winnerOf(where, row));
      for await (const judged of partition({ ...where, offset: reach }).until(end?.offset ?? 0))
        yield judged.filter(isWinner).filter(({ envelope }) => envelope.stream === stream);
    },
  };
}

async function incarnationOf(log: EventLog, placement: Placement): Promise<string> {
  const { faults, missing, empty, incarnations } = await inspectLog(log, placement);
  const absent = missing.filter((topic) => placement.topics.includes(topic));
  const reasons = [
    ...faults,
    ...absent.map((topic) => `topic ${topic} does not exist`),
    ...empty.map(({ topic, partition }) => `${topic}/${partition} is empty`),
    ...strangers(incarnations, undefined),
  ];
  const incarnation = incarnations.values().next().value;
  if (reasons.length > 0 || incarnation === undefined) throw new LogRefused(reasons);
  return incarnation;
}

interface Index extends HeadsBefore {
  stream(where: TopicPartition, stream: string, before: number): Promise<IndexedRecord[]>;
}

const indexIn = (database: Database, schema: string): Index => ({
  reach: ({ topic, partition }) => checkpointOf(database, { schema, topic, partition }),
  heads: ({ topic, partition, offset }, streams) =>
    headsBefore(database, { schema, topic, partition }, offset, streams),
  stream: ({ topic, partition }, stream, before) =>
    recordsOfStream(database, { schema, topic, partition }, stream, before),
});

/** The partition of a stream. A genesis stream says it in its name. */
function whereIs(placement: Placement, stream: string): TopicPartition {
  return placement.all.find((where) => placement.genesisOf(where) === stream) ?? placement.place(stream);
}

function winnerOf(where: TopicPartition, { offset, stream: key, headers, value }: IndexedRecord): Winner {
  const entry = { ...where, offset, key, headers, value, leaderEpoch: 0 };
  const reading = readEnvelope(entry);
  if (reading.kind !== 'ours') throw new Error(`The index has another record at ${where.topic}/${where.partition}@${offset}: ${reading.reason}`); // prettier-ignore
  return { entry, envelope: reading.envelope };
}

export function decoded({ entry: record, envelope }: Winner): DecodedEvent {
  try {
    return { record, envelope, payload: { event: eventOf(record, envelope.type) } };
  } catch (error) {
    return { record, envelope, payload: { poison: reasonOf(error) } };
  }
}
