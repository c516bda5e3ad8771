import type { Placement } from '../events/placement.ts';
import { partitionKey, type TopicPartition } from '../events/record.ts';
import type { EventLog, NewTopic, TopicDescription } from './event-log.ts';
import { readGenesis } from './genesis.ts';
import type { LogIdentity } from './identity.ts';

const FOR_EVER = -1;
const DAY_MS = 86_400_000;
const INIT = 'run `npm run openmusic -- log init`';

/** Where consumers put what they gave up on. */
export const deadLettersOf = (namespace: string): NewTopic['topic'] => `${namespace}.dead-letters`;

/** Every topic there must be. */
export function topicsOf({ namespace, topics, partitions }: Placement): NewTopic[] {
  return [
    ...topics.map((topic) => ({ topic, partitions, retentionMs: FOR_EVER })),
    { topic: deadLettersOf(namespace), partitions, retentionMs: 90 * DAY_MS },
  ];
}

/** The log is not what this code and this database can work with. Nothing has been changed. */
export class LogRefused extends Error {
  readonly reasons: readonly string[];

  constructor(reasons: readonly string[]) {
    super(['The log is not as it must be.', ...reasons].join('\n- '));
    this.name = 'LogRefused';
    this.reasons = reasons;
  }
}

/** Throws LogRefused with all reasons not to start on this log. */
export async function checkLog(log: EventLog, placement: Placement, identity: LogIdentity | undefined): Promise<void> {
  const { faults, missing, empty, incarnations } = await inspectLog(log, placement);
  const used = identity?.initialised === true;
  const reasons = [
    ...(used ? [] : [`this database does not know the log: ${INIT}`]),
    ...missing.map((topic) => (used ? deleted(topic, placement) : `topic ${topic} does not exist: ${INIT}`)),
    ...empty.map((where) => emptied(where, used)),
    ...faults,
    ...strangers(incarnations, identity),
  ];
  if (reasons.length > 0) throw new LogRefused(reasons);
}

/** A dead-letter topic holds nothing that init could not make again. */
const deleted = (topic: string, { namespace }: Placement): string =>
  topic === deadLettersOf(namespace)
    ? `topic ${topic} does not exist: ${INIT}`
    : `topic ${topic} does not exist any more: it held the truth of this database`;

const emptied = (where: TopicPartition, used: boolean): string =>
  used
    ? `${partitionKey(where)} is empty, its genesis record is missing: topic ${where.topic} was re-created`
    : `${partitionKey(where)} is empty, its genesis record is missing: ${INIT}`;

/** Partitions that belong to another life of the log than the database does. */
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
  const lives = new Set(incarnations.values());
  return lives.size > 1 ? [`partitions are of different incarnations: ${[...lives].join(', ')}`] : [];
}

export interface Inspection {
  /** What no init can mend. */
  readonly faults: string[];
  readonly missing: string[];
  /** Partitions of event topics without any record. */
  readonly empty: TopicPartition[];
  /** By partition, of those that begin as they must. */
  readonly incarnations: Map<string, string>;
}

/** What is there of the topics that must be. Partitions are looked into only where all of their topic is as it must be. */
export async function inspectLog(log: EventLog, placement: Placement): Promise<Inspection> {
  const wanted = topicsOf(placement);
  const found = new Map((await log.describe(wanted.map(({ topic }) => topic))).map((topic) => [topic.topic, topic]));
  const missing = wanted.map(({ topic }) => topic).filter((topic) => !found.has(topic));
  const faults = wanted.flatMap((topic) => faultsOf(topic, found.get(topic.topic)));
  const sound = placement.all.filter(({ topic }) => found.get(topic)?.partitions === placement.partitions);
  const begun = await openingsOf(log, placement, sound);
  return { ...begun, missing, faults: [...faults, ...begun.faults] };
}

function faultsOf({ topic, partitions, retentionMs }: NewTopic, found: TopicDescription | undefined): string[] {
  if (!found) return [];
  const faults: string[] = [];
  if (found.partitions !== partitions) {
    faults.push(`topic ${topic} has ${found.partitions} partitions, ${partitions} are configured`);
  }
  if (retentionMs === FOR_EVER) faults.push(...lossesOf(found));
  return faults;
}

const KEEPS_ALL = { 'cleanup.policy': 'delete', 'retention.ms': '-1', 'retention.bytes': '-1' };

/** Settings by which the log would lose records. */
function lossesOf({ topic, settings }: TopicDescription): string[] {
  return Object.entries(KEEPS_ALL)
    .filter(([name, value]) => settings[name] !== value)
    .map(([name, value]) => `topic ${topic} has ${name}=${settings[name] ?? 'unknown'}, it must be ${value}`);
}

type Openings = Omit<Inspection, 'missing'>;

async function openingsOf(
  log: EventLog,
  placement: Placement,
  partitions: readonly TopicPartition[],
): Promise<Openings> {
  const openings: Openings = { faults: [], empty: [], incarnations: new Map() };
  for (const { offset, ...where } of await log.ends(partitions)) {
    const first = offset === 0 ? undefined : (await log.read({ ...where, offset: 0 }, { maxBytes: 1 }))[0];
    const opened = first && readGenesis(placement, first);
    if (opened === undefined) openings.empty.push(where);
    else if (typeof opened === 'string') openings.faults.push(opened);
    else openings.incarnations.set(partitionKey(where), opened.incarnation);
  }
  return openings;
}
