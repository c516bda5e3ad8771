import type { Placement } from '../events/placement.ts';
import { partitionKey, type Position, showPosition, type StoredRecord, type TopicPartition } from '../events/record.ts';
import { lastOffsetOf, type LogEntry, missing, type Span, withMissing } from '../log/entry.ts';
import type { EventLog } from '../log/event-log.ts';
import { readIdentity } from '../log/identity.ts';
import { initLog } from '../log/init.ts';
import { reviewLog } from '../log/topics.ts';
import { publishVoids, readVoids, unpublishedAlarms, type VoidsPlace } from '../log/void-topic.ts';
import type { Client, Database } from '../postgres/pool.ts';
import { classify } from '../event-store/arbitrate.ts';
import { UniqueIds } from '../event-store/unique-ids.ts';
import type { Envelope } from '../events/envelope.ts';
import { listGenerations } from '../projections/generations/generations.ts';
import { type LogReport, verifyLog, type VerifyOptions } from '../projections/generations/verify.ts';
import { refuseUnfinished, unfinishedRecovery } from '../recovery/note.ts';
import { parsePosition } from '../transfer/selection.ts';
import { appendingLog } from './appending-log.ts';
import { voidsPlaceOf } from './voids-place.ts';
import { type ListOptions, shown } from './print.ts';
import { showProgress } from './progress.ts';
import { type CommandContext, withResources } from './with-resources.ts';

export function logInit(): Promise<number> {
  return withResources({ as: 'lone-command' }, async ({ log, placement, admin, me, config, print }) => {
    if (config.READ_ONLY === 'on') throw new Error('A follower (READ_ONLY=on) creates no log.');
    await refuseUnfinished(admin);
    const { incarnation } = await initLog({ log, placement, database: admin, me });
    print(
      `The log is ready: ${placement.topics.length} event topics of ${placement.partitions} partitions, incarnation ${incarnation}.`,
    );
    return 0;
  });
}

export interface VoidOptions {
  readonly why: string;
  /** Base of the API of a running server with an embedded log; the public one unless it is given. */
  readonly url?: string;
}

/** Exit code 1: nothing was declared void. */
export function logVoid(text: string, { why, url }: VoidOptions): Promise<number> {
  const position = parsePosition(text);
  return withResources({ as: 'writer' }, async (context) => {
    const { admin, placement, print } = context;
    if (!placement.topics.includes(position.topic)) {
      print(`${position.topic} is not an event topic. There are: ${placement.topics.join(', ')}.`);
      return 1;
    }
    const log = await appendingLog(context, url);
    const place = { log, namespace: placement.namespace, database: admin };
    const { isVoid } = await readVoids(place);
    const entry = await entryAt(log, placement, position);
    if (entry && isVoid(entry)) {
      print(`${showSpan(entry)} has already been declared void.`);
      return 0;
    }
    const reason = await whyNotVoidable(context, position, entry);
    if (!entry || reason !== undefined) {
      print(`${text} ${reason}`);
      return 1;
    }
    await declare(place, entry, why);
    print(`${showSpan(entry)} is void from now on.`);
    return 0;
  });
}

/** Why a position cannot be declared void. Other readers may accept a sound record, and the record of another owner is sound. */
async function whyNotVoidable(
  { admin, placement }: CommandContext,
  position: Position,
  entry: LogEntry | undefined,
): Promise<string | undefined> {
  const elsewhere = await notStoppedAt(admin, position);
  if (elsewhere.length > 0) {
    return `is not where the projection is stopped (${elsewhere.join(', ')}): a void would change what was accepted.`;
  }
  if (!entry) return 'has no record.';
  if (classify(entry, { belongs: placement.belongs, isVoid: () => false }).kind === 'corrupt') return undefined;
  return 'is sound: a void would change what others accept. See "A partition is stopped" in the runbook, by the reason of the stop.';
}

/** Reads the void back from the log, as every reader does, which also stores it in the database and shows that it is on this log. */
async function declare(place: VoidsPlace, entry: LogEntry, reason: string): Promise<void> {
  const { topic, partition, offset } = entry;
  await publishVoids(place, [{ topic, partition, offset, last: lastOffsetOf(entry), reason, declaredAt: new Date() }]);
  if ((await readVoids(place)).isVoid(entry)) return;
  throw new Error('The void is not on this log. Does --url, or PUBLIC_URL, name the server that runs on it?');
}

/** A record, the rest of a batch that cannot be read, or the rest of a gap. */
async function entryAt(log: EventLog, placement: Placement, position: Position): Promise<LogEntry | undefined> {
  if (position.partition >= placement.partitions)
    throw new Error(`${position.topic} has no partition ${position.partition}.`);
  const [begin] = await log.begins([position]);
  const from = Math.max(position.offset, begin?.offset ?? 0);
  const entries = await log.read({ ...position, offset: from }, { maxBytes: 1 });
  const [first] = withMissing(position.offset, entries);
  return first ?? (from > position.offset ? missing(position, position.offset, from - 1) : undefined);
}

const showSpan = (span: Span): string =>
  span.last === undefined || span.last === span.offset
    ? showPosition(span)
    : `${partitionKey(span)}@${span.offset} to ${span.last}`;

/** Generations that are not stopped at exactly that record, and where they are. */
function notStoppedAt(admin: Database, { topic, partition, offset }: Position): Promise<string[]> {
  return admin.use(async (client) => {
    const serving = (await listGenerations(client)).filter(({ state }) => state === 'serving');
    const where = await Promise.all(serving.map(({ schema }) => checkpointIn(client, schema, { topic, partition })));
    return where.flatMap(({ schema, next, stopped }) =>
      next === offset && stopped !== null
        ? []
        : [`${schema} ${stopped === null ? 'goes on' : 'is stopped'} at ${next}`],
    );
  });
}

async function checkpointIn(client: Client, schema: string, { topic, partition }: TopicPartition) {
  const text = `SELECT next, stopped FROM "${schema}".checkpoints WHERE topic = $1 AND partition = $2`;
  const { rows } = await client.query<{ next: number; stopped: string | null }>(text, [topic, partition]);
  const [row] = rows;
  if (!row) throw new Error(`${topic} has no partition ${partition}.`);
  return { schema, ...row };
}

/** Checks the whole log. Exit code 2 when a fault was found. */
export function logVerify(options: ListOptions = {}): Promise<number> {
  return withResources({ as: 'command' }, (context) => reportLog(context, options));
}

/** Prints what every partition holds, and each fault. Returns the exit code. */
export async function reportLog(context: CommandContext, { json = false }: ListOptions = {}): Promise<number> {
  const { print } = context;
  const { partitions, faults } = await examineLog(context);
  if (json) print(JSON.stringify({ partitions, faults }, null, 2));
  else {
    for (const { topic, partition, end, streams, winners, losers } of partitions) {
      const lost = Object.entries(losers).map(([reason, count]) => `, ${count} ${reason}`);
      print(`${topic}/${partition}: ${end} records, ${winners} accepted in ${streams} streams${lost.join('')}`);
    }
    for (const fault of faults) print(`FAULT ${shown(fault)}`);
    print(faults.length === 0 ? 'The log is sound.' : `The log has ${faults.length} faults.`);
  }
  return faults.length === 0 ? 0 : 2;
}

async function examineLog({ log, placement, admin, me, config }: CommandContext): Promise<LogReport> {
  const visitor = me && { me, readOnly: config.READ_ONLY === 'on' };
  const identity = await readIdentity(admin);
  const { refusals, alarms } = await reviewLog(log, placement, identity, visitor);
  const known = await readVoids(await voidsPlaceOf({ log, placement, admin }, identity));
  const topics = (await log.describe(placement.topics)).map(({ topic }) => topic);
  const ids = new UniqueIds();
  const options = { log, placement, topics, voids: known.voids, progress: verifyProgress(placement) };
  const { partitions, faults: found } = await verifyLog({ ...options, accepted: (_, { id }) => ids.add(id) });
  const faults = [
    ...(await unfinishedRecovery(admin)),
    ...refusals,
    ...alarms,
    ...known.faults,
    ...unpublishedAlarms(placement.namespace, known),
    ...found,
    ...(await sharedIds(options, ids)),
  ];
  return { partitions, faults };
}

function verifyProgress({ all }: Placement): NonNullable<VerifyOptions['progress']> {
  const show = showProgress('partitions verified');
  const done = new Set<string>();
  return (at, end) => {
    if (at.offset >= end) done.add(partitionKey(at));
    show(done.size, all.length);
  };
}

/** Reads the log once more for the positions of records that have the same id. */
async function sharedIds(options: VerifyOptions, ids: UniqueIds): Promise<string[]> {
  const isRepeated = ids.repeated();
  if (!isRepeated) return [];
  const found: { id: string; at: string }[] = [];
  const accepted = (record: StoredRecord, { id }: Envelope) => {
    if (isRepeated(id)) found.push({ id, at: showPosition(record) });
  };
  await verifyLog({ ...options, accepted });
  const shared = [...Map.groupBy(found, ({ id }) => id)].filter(([, places]) => places.length > 1);
  return shared.map(([id, places]) => `the id ${id} is that of several accepted records: ${places.map(({ at }) => at).join(', ')}`); // prettier-ignore
}
