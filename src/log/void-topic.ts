import { decodeEvent, subjectOf } from '../events/codec.ts';
import { reasonOf } from '../errors.ts';
import { showPosition } from '../events/record.ts';
import type { PositionVoided } from '../events/events.ts';
import { voidRecord } from '../events/voids.ts';
import { isBlank, lastOffsetOf, type LogEntry } from './entry.ts';
import type { EventLog } from './event-log.ts';
import { type Queries, readIdentity } from './identity.ts';
import { INIT, voidsTopicOf } from './topics.ts';
import { type DeclaredVoid, declareVoid, voidsOf, type VoidTest, voidTestOf } from './voids.ts';

/**
 * The topic of voids is the source of truth, and `log_voids` is this database's copy of it. A void is appended first and copied
 * after that; if the process crashes in between, the next reader copies it. A lost topic is created again from the copy.
 */
export interface VoidsPlace {
  readonly log: Pick<EventLog, 'append' | 'begins' | 'describe' | 'ends' | 'read'>;
  readonly namespace: string;
  /** Its search path includes the namespace's own tables. */
  readonly database: Queries;
  /** The log's incarnation, for a database that does not belong to it yet. Nothing is copied then. */
  readonly incarnation?: string | undefined;
}

export interface PublishedVoids {
  /** In the order of the topic; a position can come twice. */
  readonly voids: readonly DeclaredVoid[];
  /** Records of the topic that declare nothing, each with its position and the reason. */
  readonly faults: readonly string[];
}

const SUBJECT = subjectOf('PositionVoided');
const NONE: PublishedVoids = { voids: [], faults: [] };

/** The topic's voids of this incarnation of the log; none where the topic does not exist. Its gaps are no faults. */
export async function readPublishedVoids({ log, namespace, database, ...of }: VoidsPlace): Promise<PublishedVoids> {
  const topic = voidsTopicOf(namespace);
  const incarnation = of.incarnation ?? (await readIdentity(database))?.incarnation;
  if (incarnation === undefined || (await log.describe([topic])).length === 0) return NONE;
  const voids: DeclaredVoid[] = [];
  const faults: string[] = [];
  for (const entry of await entriesOf(log, topic)) {
    const read = readEntry(entry);
    if (typeof read === 'string') faults.push(`${showPosition(entry)}: ${read}`);
    else if (read?.incarnation === incarnation) voids.push(toVoid(read));
  }
  return { voids, faults };
}

async function entriesOf(log: VoidsPlace['log'], topic: string): Promise<LogEntry[]> {
  const [begin, end] = await Promise.all([log.begins([{ topic, partition: 0 }]), log.ends([{ topic, partition: 0 }])]);
  const entries: LogEntry[] = [];
  const last = end[0]?.offset ?? 0;
  for (let next = begin[0]?.offset ?? 0; next < last;) {
    const found = await log.read({ topic, partition: 0, offset: next });
    entries.push(...found);
    const newest = found.at(-1);
    if (!newest) break;
    next = lastOffsetOf(newest) + 1;
  }
  return entries;
}

/** The void in an entry, or why there is none; undefined where none is expected. A tombstone takes nothing back. */
function readEntry(entry: LogEntry): PositionVoided | string | undefined {
  if (!isBlank(entry)) return entry.value.length === 0 ? undefined : voidIn(entry.value);
  return entry.blank === 'unreadable' ? entry.reason : undefined;
}

/** The void that a value of the topic declares, of any incarnation of the log, or why it declares none. */
export function voidIn(value: Buffer): PositionVoided | string {
  try {
    const event: { readonly type: string } = decodeEvent(SUBJECT, value);
    return isVoid(event) && event.lastOffset >= event.offset ? event : 'it covers no offset';
  } catch (error) {
    return `it declares no position void: ${reasonOf(error)}`;
  }
}

const isVoid = (event: { readonly type: string }): event is PositionVoided => event.type === 'PositionVoided';

const toVoid = ({ topic, partition, offset, lastOffset: last, reason, at }: PositionVoided): DeclaredVoid => ({
  topic,
  partition,
  offset,
  last,
  reason,
  declaredAt: new Date(at),
});

/** Publishes voids to every reader of the log. Writes nothing to the database. Rejects with an AppendError. */
export async function publishVoids(place: VoidsPlace, voids: readonly DeclaredVoid[]): Promise<void> {
  if (voids.length === 0) return;
  const { log, namespace, database } = place;
  const identity = await readIdentity(database);
  if (!identity) throw new Error(`This database does not know the log: ${INIT}.`);
  const voidsTopic = voidsTopicOf(namespace);
  if ((await log.describe([voidsTopic])).length === 0) throw new Error(`topic ${voidsTopic} does not exist: ${INIT}`);
  const batch = voids.map(({ topic, partition, offset, last: lastOffset, reason, declaredAt }) => ({
    topic: voidsTopic,
    partition: 0,
    record: voidRecord({
      type: 'PositionVoided',
      incarnation: identity.incarnation,
      topic,
      partition,
      offset,
      lastOffset,
      reason,
      at: declaredAt.toISOString(),
    }),
  }));
  await log.append(batch);
}

/** The voids by which every reader judges the log. */
export interface KnownVoids {
  /** Voids of the topic and those that only this database's copy has, in the order of the log. */
  readonly voids: readonly DeclaredVoid[];
  readonly isVoid: VoidTest;
  /** Voids that the topic lacks: it was created again or restored from a backup, or a tombstone removed them. */
  readonly unpublished: readonly DeclaredVoid[];
  /** See `PublishedVoids`. */
  readonly faults: readonly string[];
}

/** Reads the topic once and updates the database's copy. */
export async function readVoids(place: VoidsPlace): Promise<KnownVoids> {
  const { voids: published, faults } = await readPublishedVoids(place);
  if (place.incarnation !== undefined) {
    return { voids: published, isVoid: voidTestOf(published), unpublished: [], faults };
  }
  const copied = await voidsOf(place.database);
  const lacking = published.filter((each) => !voidTestOf(copied)(each));
  for (const each of lacking) await declareVoid(place.database, each, each.reason, each.declaredAt);
  const voids = lacking.length === 0 ? copied : await voidsOf(place.database);
  const isPublished = voidTestOf(published);
  return { voids, isVoid: voidTestOf(voids), unpublished: copied.filter((each) => !isPublished(each)), faults };
}

/** A message for people that the topic lacks voids. Empty when it lacks none. */
export function unpublishedAlarms(namespace: string, { unpublished }: Pick<KnownVoids, 'unpublished'>): string[] {
  if (unpublished.length === 0) return [];
  const positions = unpublished.slice(0, 3).map(showPosition).join(', ');
  return [`topic ${voidsTopicOf(namespace)} lacks ${unpublished.length} voids, ${positions} among them: ${INIT}`];
}
