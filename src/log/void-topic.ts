import { decodeEvent, subjectOf } from '../events/codec.ts';
import { reasonOf } from '../errors.ts';
import { showPosition } from '../events/record.ts';
import { type PositionVoided, voidRecord } from '../events/voids.ts';
import { isBlank, lastOffsetOf, type LogEntry } from './entry.ts';
import type { EventLog } from './event-log.ts';
import { type Queries, readIdentity } from './identity.ts';
import { INIT, voidsTopicOf } from './topics.ts';
import { type DeclaredVoid, declareVoid, readVoidTest, voidsOf, type VoidTest, voidTestOf } from './voids.ts';

/**
 * The topic of voids is the truth about them, and `log_voids` is this database's copy of it. A void is appended first and
 * copied then; after a crash between the two, the next judge that looks copies it. The copy makes a topic again that was lost.
 */
export interface VoidsPlace {
  readonly log: Pick<EventLog, 'append' | 'begins' | 'describe' | 'ends' | 'read'>;
  readonly namespace: string;
  /** Whose search path holds the namespace's own tables. */
  readonly database: Queries;
  /** Of the log, where the database does not know it yet. */
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
export async function readPublishedVoids({ log, namespace, database, ...place }: VoidsPlace): Promise<PublishedVoids> {
  const topic = voidsTopicOf(namespace);
  const incarnation = (await readIdentity(database))?.incarnation ?? place.incarnation;
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
  ...{ topic, partition, offset, last, reason },
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
      ...{ type: 'PositionVoided', incarnation: identity.incarnation, topic, partition, offset, lastOffset, reason },
      at: declaredAt.toISOString(),
    }),
  }));
  await log.append(batch);
}

/** Voids of the database that the topic lacks: it was made anew or set back, or a tombstone took them. */
export async function unpublishedVoids(place: VoidsPlace): Promise<DeclaredVoid[]> {
  const known = await voidsOf(place.database);
  if (known.length === 0) return [];
  const covers = voidTestOf((await readPublishedVoids(place)).voids);
  return known.filter((each) => !covers(each));
}

/** For people: that the topic lacks some. Empty when it lacks none. */
export async function unpublishedAlarms(place: VoidsPlace): Promise<string[]> {
  const lacking = await unpublishedVoids(place);
  const positions = lacking.slice(0, 3).map(showPosition).join(', ');
  const topic = voidsTopicOf(place.namespace);
  return lacking.length === 0 ? [] : [`topic ${topic} lacks ${lacking.length} voids, ${positions} among them: ${INIT}`];
}

/** What judges go by, after the database's copy was brought up to date. */
export async function currentVoids(place: VoidsPlace): Promise<VoidTest> {
  const { voids } = await readPublishedVoids(place);
  const covers = voidTestOf(voids.length === 0 ? [] : await voidsOf(place.database));
  for (const each of voids.filter((each) => !covers(each))) {
    await declareVoid(place.database, each, each.reason, each.declaredAt);
  }
  return readVoidTest(place.database);
}
