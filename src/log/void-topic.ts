import { decodeEvent, subjectOf } from '../events/codec.ts';
import { reasonOf } from '../errors.ts';
import { showPosition } from '../events/record.ts';
import { type PositionVoided, voidRecord } from '../events/voids.ts';
import { isBlank, lastOffsetOf, type LogEntry } from './entry.ts';
import type { EventLog } from './event-log.ts';
import { type Queries, readIdentity } from './identity.ts';
import { INIT, voidsTopicOf } from './topics.ts';
import { type DeclaredVoid, declareVoid, voidsOf, type VoidTest, voidTestOf } from './voids.ts';

/**
 * The topic of voids is the truth about them, and `log_voids` is this database's copy of it. A void is appended first and
 * copied then; after a crash between the two, the next judge that looks copies it. The copy makes a topic again that was lost.
 */
export interface VoidsPlace {
  readonly log: Pick<EventLog, 'append' | 'begins' | 'describe' | 'ends' | 'read'>;
  readonly namespace: string;
  /** Whose search path holds the namespace's own tables. */
  readonly database: Queries;
  /** Of the log, for a database that does not belong to it yet: nothing is copied then. */
  readonly incarnation?: string | undefined;
}

export interface PublishedVoids {
  /** In the order of the topic; a position can come twice. */
  readonly voids: readonly DeclaredVoid[];
  /** What stands there and declares nothing, with its position and the reason. */
  readonly faults: readonly string[];
}

const SUBJECT = subjectOf('PositionVoided');
const NONE: PublishedVoids = { voids: [], faults: [] };

/** All that the topic says of this life of the log; nothing of a topic that does not exist. Its gaps are no faults. */
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

/** What stands in an entry; or why it declares nothing; undefined where nothing has to stand. A tombstone takes nothing back. */
function readEntry(entry: LogEntry): PositionVoided | string | undefined {
  if (!isBlank(entry)) return entry.value.length === 0 ? undefined : voidIn(entry.value);
  return entry.blank === 'unreadable' ? entry.reason : undefined;
}

/** What a value of the topic declares, of whichever life of the log; or why it declares nothing. */
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

/** Tells every reader of the log. Rejects with an AppendError; nothing is written to the database. */
export async function publishVoids(place: VoidsPlace, voids: readonly DeclaredVoid[]): Promise<void> {
  if (voids.length === 0) return;
  const { log, namespace, database } = place;
  const identity = await readIdentity(database);
  if (!identity) throw new Error(`This database does not know the log: ${INIT}.`);
  const lies = voidsTopicOf(namespace);
  if ((await log.describe([lies])).length === 0) throw new Error(`topic ${lies} does not exist: ${INIT}`);
  const batch = voids.map(({ topic, partition, offset, last: lastOffset, reason, declaredAt }) => ({
    topic: voidsTopicOf(namespace),
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

/** What is known of voids: what every judge goes by. */
export interface KnownVoids {
  /** Of the topic, and those that only this database's copy has, in the order of the log. */
  readonly voids: readonly DeclaredVoid[];
  readonly isVoid: VoidTest;
  /** Those that the topic lacks: it was made anew or set back, or a tombstone took them. */
  readonly unpublished: readonly DeclaredVoid[];
  /** See `PublishedVoids`. */
  readonly faults: readonly string[];
}

/** Reads the topic, once, and brings the database's copy up to date. */
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

/** For people: that the topic lacks some. Empty when it lacks none. */
export function unpublishedAlarms(namespace: string, { unpublished }: Pick<KnownVoids, 'unpublished'>): string[] {
  if (unpublished.length === 0) return [];
  const positions = unpublished.slice(0, 3).map(showPosition).join(', ');
  return [`topic ${voidsTopicOf(namespace)} lacks ${unpublished.length} voids, ${positions} among them: ${INIT}`];
}
