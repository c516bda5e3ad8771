import type { LogOwner } from '../events/genesis.ts';
import { ownHeaders } from '../events/envelope.ts';
import { type LogRecord, partitionKey, type Position, type TopicPartition } from '../events/record.ts';
import type { Faults } from '../faults.ts';
import { isBlank, lastOffsetOf, type LogEntry } from '../log/entry.ts';
import type { EventLog } from '../log/event-log.ts';
import { genesisRecord } from '../log/genesis.ts';
import { deadLettersOf, topicsOf } from '../log/topics.ts';
import { readVoids } from '../log/void-topic.ts';
import type { VoidTest } from '../log/voids.ts';
import { type Client, type Database, transaction } from '../postgres/pool.ts';
import { classify } from '../event-store/arbitrate.ts';
import { recordIdsOf } from '../event-store/partition-events.ts';
import { verifyPartition } from '../projections/generations/verify.ts';
import { type Applied, furthestApplied, acceptedFrom, acceptedIds } from './furthest.ts';
import { noteStep, type Recovery } from './note.ts';
import { type PartitionSurvey, type Survey, surveyOurs, type SurveyOptions, voidsPlaceOf } from './survey.ts';
import { writeFrom } from './write.ts';

export interface NewLogOptions extends SurveyOptions {
  readonly faults?: Faults;
  /** Named in the genesis records of the new log; null for an embedded log. */
  readonly owner: LogOwner | null;
}

/**
 * Creates the topics again, with all records that Postgres has accepted in their order, followed by the records that only the old log
 * had. It is a new incarnation of the log, so every reader must discard its offsets. Each step can be repeated, because before the
 * topics are deleted, all records that are to remain are stored in Postgres.
 */
export async function beginIncarnation(options: NewLogOptions, { step, incarnation }: Recovery): Promise<void> {
  const { admin, faults = {} } = options;
  if (step === 'begun') await stage(options, await surveyOurs(options, ['differs']));
  faults['recovery-staged']?.();
  if (step !== 'opened') await open(options, incarnation);
  await noteStep(admin, 'opened');
  faults['recovery-opened']?.();
  for (const applied of await furthestApplied(admin, options.placement)) {
    await copy(options, applied);
    await mustHoldAll(options, applied);
  }
}

interface StagedRecord extends LogRecord {
  readonly id: string;
}

/** Stores the claims that only the log has. Most are writes that were never answered with success. */
async function stage(options: SurveyOptions, { partitions }: Survey): Promise<void> {
  const { isVoid } = await readVoids(voidsPlaceOf(options));
  await options.admin.use((client) =>
    transaction(client, async () => {
      await client.query('DELETE FROM log_recovery_records');
      for (const survey of partitions) await stagePartition(options, client, survey, isVoid);
      await client.query(`UPDATE log_recovery SET step = 'staged'`);
    }),
  );
}

async function stagePartition(
  { admin, log, placement }: SurveyOptions,
  client: Client,
  survey: PartitionSurvey,
  isVoid: VoidTest,
): Promise<void> {
  const { next, end, differsAt = next } = survey;
  const accepted = new Set((await acceptedIds(admin, survey)).values());
  const genesis = placement.genesisOf(survey);
  let nth = 0;
  for await (const entries of entriesFrom(log, { ...survey, offset: Math.min(next, differsAt) }, end)) {
    const records = entries.flatMap((entry): StagedRecord[] => {
      const classification = classify(entry, { belongs: placement.belongs, isVoid });
      if (classification.kind !== 'claim') return [];
      const { record, envelope } = classification;
      if (accepted.has(envelope.id) || envelope.stream === genesis) return [];
      return [{ ...record, headers: ownHeaders(record.headers), id: envelope.id }];
    });
    await store(client, survey, nth, records);
    nth += records.length;
  }
}

/** The entries of a partition from a position up to `end`, one read at a time. */
async function* entriesFrom(log: EventLog, from: Position, end: number): AsyncGenerator<LogEntry[]> {
  if (end === 0) return;
  const [begin] = await log.begins([from]);
  for (let offset = Math.max(from.offset, begin?.offset ?? 0); offset < end;) {
    const entries = await log.read({ topic: from.topic, partition: from.partition, offset });
    const last = entries.at(-1);
    if (!last) return;
    yield entries.filter((entry) => entry.offset < end);
    offset = lastOffsetOf(last) + 1;
  }
}

async function store(
  client: Client,
  { topic, partition }: TopicPartition,
  from: number,
  records: readonly StagedRecord[],
) {
  const rows = records.map(({ id, key, value, headers }, index) => ({
    topic,
    partition,
    nth: from + index,
    record_id: id,
    key,
    headers,
    value: value.toString('base64'),
  }));
  await client.query(
    `INSERT INTO log_recovery_records (topic, partition, nth, record_id, key, value, headers)
      SELECT topic, partition, nth, record_id, key, decode(value, 'base64'), headers
      FROM json_to_recordset($1) AS r (topic text, partition int, nth int, record_id uuid, key text, value text, headers json)`,
    [JSON.stringify(rows)],
  );
}

/** Replaces all topics of the old incarnation. Dead letters are not judged, so their topic stays. */
async function open({ log, placement, owner, faults = {} }: NewLogOptions, incarnation: string): Promise<void> {
  const topics = topicsOf(placement).filter(({ topic }) => topic !== deadLettersOf(placement.namespace));
  await log.deleteTopics(topics.map(({ topic }) => topic));
  faults['recovery-deleted']?.();
  await log.createTopics(topicsOf(placement));
  await log.append(
    placement.all.map((where) => ({ ...where, record: genesisRecord(placement, where, incarnation, owner) })),
  );
}

/** Skips the records that the new log has already: an earlier run has appended them in the same order. */
async function copy(options: NewLogOptions, applied: Applied): Promise<void> {
  const { log } = options;
  const [end] = await log.ends([applied]);
  if (!end) throw new Error(`There is no ${partitionKey(applied)}.`);
  await writeFrom(options, end, lacking(options, applied, await idsIn(options, end)));
}

async function idsIn({ log }: SurveyOptions, end: Position): Promise<Set<string>> {
  const ids = new Set<string>();
  for await (const entries of entriesFrom(log, { ...end, offset: 0 }, end.offset)) {
    for (const entry of entries) if (!isBlank(entry)) ids.add(entry.headers.ce_id ?? '');
  }
  return ids;
}

/** The records that the new log lacks. The genesis stream is left out, because it belongs to the old incarnation. */
async function* lacking(
  { admin, placement }: SurveyOptions,
  applied: Applied,
  there: ReadonlySet<string>,
): AsyncGenerator<LogRecord> {
  const genesis = placement.genesisOf(applied);
  if (applied.schema !== undefined) {
    for await (const rows of acceptedFrom(admin, applied, 0)) {
      for (const { id, stream: key, headers, value } of rows) {
        if (key !== genesis && !there.has(id)) yield { key, headers, value };
      }
    }
  }
  for await (const rows of stagedRecords(admin, applied)) {
    for (const { id, key, headers, value } of rows) if (!there.has(id)) yield { key, headers, value };
  }
}

const STAGED_ROWS = 500;

async function* stagedRecords(admin: Database, { topic, partition }: Applied): AsyncGenerator<StagedRecord[], void> {
  const text = `SELECT nth, record_id AS id, key, value, headers FROM log_recovery_records
    WHERE topic = $1 AND partition = $2 AND nth > $3 ORDER BY nth LIMIT ${STAGED_ROWS}`;
  for (let [after, isFull] = [-1, true]; isFull;) {
    const rows = await admin.query<StagedRecord & { nth: number }>({ text, values: [topic, partition, after] });
    yield rows;
    after = rows.at(-1)?.nth ?? after;
    isFull = rows.length === STAGED_ROWS;
  }
}

/** Rejects unless every record that Postgres has accepted wins in the new log too. Only then may Postgres discard its rows. */
async function mustHoldAll({ admin, log, placement }: SurveyOptions, applied: Applied): Promise<void> {
  const left = new Set((await acceptedIds(admin, applied)).values());
  const [end] = await log.ends([applied]);
  if (!end) throw new Error(`There is no ${partitionKey(applied)}.`);
  await verifyPartition({ log, placement, voids: [], accepted: (_, { id }) => void left.delete(id) }, end);
  const genesis = placement.genesisOf(applied);
  const { schema } = applied;
  for (const id of schema === undefined ? [] : await recordIdsOf(admin, schema, genesis)) left.delete(id);
  if (left.size > 0) {
    throw new Error(
      `${partitionKey(applied)} of the new log lacks ${left.size} records of Postgres. Nothing was forgotten: run the command again.`,
    );
  }
}
