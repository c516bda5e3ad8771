import type { Placement } from '../events/placement.ts';
import { partitionKey, type TopicPartition } from '../events/record.ts';
import type { LogOwner } from '../events/genesis.ts';
import { isBlank } from './entry.ts';
import type { EventLog, NewTopic } from './event-log.ts';
import { readGenesis } from './genesis.ts';
import type { LogIdentity } from './identity.ts';
import { refusalOf, type Visitor } from './ownership.ts';
import { publishedTopicOf } from './published.ts';
import { alarmsOf, FOR_EVER, refusalsOf } from './settings.ts';

const DAY_MS = 86_400_000;
/** JSON is longer than Avro: a record of 512 kB of the log must fit, with its bytes in base64 or the names of all fields. */
const PUBLISHED_RECORD_BYTES = 8 * 2 ** 20;
export const INIT = 'run `npm run openmusic -- log init`';

/** The topic for jobs and records that consumers gave up on. */
export const deadLettersOf = (namespace: string): NewTopic['topic'] => `${namespace}.dead-letters`;

/** The topic that publishes positions which were declared void. */
export const voidsTopicOf = (namespace: string): NewTopic['topic'] => `${namespace}.voids`;

/** Every topic that must exist. */
export function topicsOf(placement: Placement): NewTopic[] {
  const { topics, partitions } = placement;
  return [...topics.map((topic) => ({ topic, partitions, retentionMs: FOR_EVER })), ...remadeTopicsOf(placement)];
}

/** Topics that `log init` may create again at any time: their records are in Postgres too, or may be lost. */
export const remadeTopicsOf = ({ namespace, partitions, topics }: Placement): NewTopic[] => [
  { topic: deadLettersOf(namespace), partitions, retentionMs: 90 * DAY_MS },
  { topic: voidsTopicOf(namespace), partitions: 1, retentionMs: FOR_EVER, compacted: true },
  ...topics.map((topic) => ({
    topic: publishedTopicOf(namespace, topic),
    partitions,
    retentionMs: FOR_EVER,
    mayExpire: true,
    recordBytes: PUBLISHED_RECORD_BYTES,
  })),
];

/** This code or this database cannot work with the log. Nothing has been changed. */
export class LogRefused extends Error {
  readonly reasons: readonly string[];

  constructor(reasons: readonly string[]) {
    super(['The log is not as it must be.', ...reasons].join('\n- '));
    this.name = 'LogRefused';
    this.reasons = reasons;
  }
}

export interface LogReview {
  /** Why no process may start on this log. */
  readonly refusals: readonly string[];
  /** Problems that do not prevent a start. */
  readonly alarms: readonly string[];
}

/** Throws LogRefused with all reasons not to start on this log. */
export async function checkLog(
  log: EventLog,
  placement: Placement,
  identity: LogIdentity | undefined,
  visitor?: Visitor,
): Promise<void> {
  const { refusals } = await reviewLog(log, placement, identity, visitor);
  if (refusals.length > 0) throw new LogRefused(refusals);
}

/** Checks everything of a log that others can change: its topics, their settings, where they begin, and their owner. */
export async function reviewLog(
  log: EventLog,
  placement: Placement,
  identity: LogIdentity | undefined,
  visitor?: Visitor,
): Promise<LogReview> {
  const { faults, alarms, cut, missing, empty, incarnations, madeBy } = await inspectLog(log, placement);
  const used = identity?.initialised === true;
  const notOwner = visitor && refusalOf(visitor, identity, madeBy);
  const refusals = [
    ...(notOwner === undefined ? [] : [notOwner]),
    ...(used ? [] : [...(notOwner === undefined ? [`this database does not know the log: ${INIT}`] : []), ...cut]),
    ...missing.map((topic) => (used ? deleted(topic, placement) : `topic ${topic} does not exist: ${INIT}`)),
    ...empty.map((where) => emptied(where, used)),
    ...faults,
    ...strangers(incarnations, identity),
  ];
  // A database that was initialised before has applied the deleted records, so it may go on.
  return { refusals, alarms: [...alarms, ...(used ? cut : [])] };
}

const deleted = (topic: string, placement: Placement): string =>
  remadeTopicsOf(placement).some((each) => each.topic === topic)
    ? `topic ${topic} does not exist: ${INIT}`
    : `topic ${topic} does not exist any more: it held the truth of this database, and \`npm run openmusic -- log recover\` makes it again`;

const emptied = (where: TopicPartition, used: boolean): string =>
  used
    ? `${partitionKey(where)} is empty, its genesis record is missing: topic ${where.topic} was re-created`
    : `${partitionKey(where)} is empty, its genesis record is missing: ${INIT}`;

/** Partitions of another incarnation of the log than the database's. */
export function strangers(incarnations: ReadonlyMap<string, string>, identity: LogIdentity | undefined): string[] {
  if (identity === undefined) return mixed(incarnations);
  return [...incarnations]
    .filter(([, incarnation]) => incarnation !== identity.incarnation)
    .map(
      ([where, incarnation]) =>
        `the topic of ${where} was re-created: its incarnation is ${incarnation}, this database belongs to ${identity.incarnation}`,
    );
}

function mixed(incarnations: ReadonlyMap<string, string>): string[] {
  const found = new Set(incarnations.values());
  return found.size > 1 ? [`partitions are of different incarnations: ${[...found].join(', ')}`] : [];
}

export interface Inspection {
  /** Problems that `log init` cannot fix. */
  readonly faults: string[];
  readonly alarms: string[];
  /** Partitions whose first records were deleted. */
  readonly cut: string[];
  readonly missing: string[];
  /** Partitions of event topics without any record. */
  readonly empty: TopicPartition[];
  /** By partition, for those with a valid genesis record. */
  readonly incarnations: Map<string, string>;
  /** The owner in the first valid genesis record. */
  madeBy?: LogOwner | null;
}

/** Compares the topics with what they must be. Partitions are read only where their topic has enough of them. */
export async function inspectLog(log: EventLog, placement: Placement): Promise<Inspection> {
  const wanted = topicsOf(placement);
  const found = new Map((await log.describe(wanted.map(({ topic }) => topic))).map((topic) => [topic.topic, topic]));
  const inspection: Inspection = {
    faults: [],
    alarms: [],
    cut: [],
    missing: [],
    empty: [],
    incarnations: new Map(),
  };
  for (const topic of wanted) {
    const description = found.get(topic.topic);
    if (description) {
      inspection.faults.push(...refusalsOf(topic, description));
      inspection.alarms.push(...alarmsOf(topic, description));
    } else inspection.missing.push(topic.topic);
  }
  const partitionsOf = (topic: string) => found.get(topic)?.partitions ?? 0;
  inspection.alarms.push(...(await recordsBeyond(log, placement, partitionsOf)));
  const sound = placement.all.filter(({ topic }) => partitionsOf(topic) >= placement.partitions);
  await inspectBeginnings(log, placement, sound, inspection);
  return inspection;
}

/** The incarnation in the first valid genesis record. */
export const incarnationOf = async (log: EventLog, placement: Placement): Promise<string | undefined> =>
  (await inspectLog(log, placement)).incarnations.values().next().value;

/** Records in partitions beyond the log's own, which no consumer of ours reads. */
async function recordsBeyond(
  log: EventLog,
  { topics, partitions }: Placement,
  partitionsOf: (topic: string) => number,
): Promise<string[]> {
  const beyond = topics.flatMap((topic) =>
    Array.from({ length: Math.max(0, partitionsOf(topic) - partitions) }, (_, n) => ({
      topic,
      partition: partitions + n,
    })),
  );
  const filled = (await log.ends(beyond)).filter(({ offset }) => offset > 0);
  return filled.map((end) => `${partitionKey(end)} holds ${end.offset} records of others, which no reader judges`);
}

async function inspectBeginnings(
  log: EventLog,
  placement: Placement,
  partitions: readonly TopicPartition[],
  inspection: Inspection,
): Promise<void> {
  const { cut, empty, faults, incarnations } = inspection;
  const ends = await log.ends(partitions);
  const begins = await log.begins(partitions);
  for (const [index, where] of partitions.entries()) {
    const [begin, end] = [begins[index]?.offset ?? 0, ends[index]?.offset ?? 0];
    if (end === 0) empty.push(where);
    else if (begin > 0)
      cut.push(`${partitionKey(where)} begins at offset ${begin}: the records before it were deleted`);
    else {
      const opened = await openingOf(log, placement, where);
      if (typeof opened === 'string') faults.push(opened);
      else {
        incarnations.set(partitionKey(where), opened.incarnation);
        inspection.madeBy ??= opened.owner;
      }
    }
  }
}

async function openingOf(log: EventLog, placement: Placement, where: TopicPartition) {
  const [first] = await log.read({ ...where, offset: 0 }, { maxBytes: 1 });
  if (!first || isBlank(first))
    return `${partitionKey(where)}@0 cannot be read: ${first?.reason ?? 'nothing is there'}`;
  return readGenesis(placement, first);
}
