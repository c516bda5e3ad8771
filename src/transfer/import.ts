import { fingerprint } from '../events/envelope.ts';
import { classify, type LogRules } from '../event-store/arbitrate.ts';
import { entriesOf } from '../event-store/judged-log.ts';
import { type LogRecord, partitionKey, type Position, showPosition, type TopicPartition } from '../events/record.ts';
import { isFiller, voidRecord } from '../events/voids.ts';
import { isBlank, lastOffsetOf, type LogEntry } from '../log/entry.ts';
import { type InitOptions, initLog } from '../log/init.ts';
import { publishVoids, readVoids, type VoidsPlace } from '../log/void-topic.ts';
import { voidTestOf } from '../log/voids.ts';
import { writeFrom } from '../recovery/write.ts';
import type { Faults } from '../faults.ts';
import type { RawHeader, RawLog } from './raw.ts';

export interface ImportOptions extends InitOptions {
  /** Called for every entry that is read; the export is read twice. */
  readonly progress?: () => void;
  readonly faults?: Faults;
}

export interface Imported {
  /** Incarnation of the log that was made. */
  readonly incarnation: string;
  /** Entries that were written; fewer than the export has when an import was continued. */
  readonly written: number;
  /** Positions that hold a filler instead of what the other log has there, which counts for no reader. */
  readonly filled: number;
}

/** Nothing was written. */
class ImportRefused extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'ImportRefused';
  }
}

/**
 * Makes the log again, in an empty one: each record at its offset, losers too. The log gets genesis records of its own, because it is
 * another life of the log, with an owner of its own. The whole export is read before anything is written. An import that was
 * interrupted is continued; throws ImportRefused when the log holds anything else. Nothing else may append meanwhile.
 */
export async function importLog(options: ImportOptions, raw: RawLog): Promise<Imported> {
  const { log, placement, database } = options;
  refuseHeader(raw.header, options);
  const ends = await endsOf(options);
  await compare(options, raw, ends);
  const { incarnation } = await initLog(options);
  await copyVoids({ log, namespace: placement.namespace, database }, raw.header);
  return { incarnation, ...(await write(options, raw, ends, incarnation)) };
}

function refuseHeader({ namespace, partitions, ranges }: RawHeader, { placement }: ImportOptions): void {
  const [ours, theirs] = [placement.namespace, namespace];
  if (ours !== theirs)
    throw new ImportRefused(`The export is of the namespace ${theirs}, not ${ours}: set NAMESPACE=${theirs}.`);
  if (placement.partitions !== partitions)
    throw new ImportRefused(
      `The export is of topics with ${partitions} partitions, not ${placement.partitions}: set PARTITIONS=${partitions}.`,
    );
  const all = new Map(ranges.map((range) => [partitionKey(range), range]));
  const cut = placement.all.find((where) => (all.get(partitionKey(where))?.from ?? 1) > 0);
  if (cut)
    throw new ImportRefused(
      `The export does not begin at the beginning of ${partitionKey(cut)}: export without --from.`,
    );
}

/** The ends of the log as it is; 0 for a log that is not there yet. */
async function endsOf({ log, placement }: ImportOptions): Promise<Map<string, number>> {
  const known = (await log.describe(placement.topics)).filter(({ partitions }) => partitions >= placement.partitions);
  const there = placement.all.filter(({ topic }) => known.some((each) => each.topic === topic));
  return new Map((await log.ends(there)).map((end) => [partitionKey(end), end.offset]));
}

/** Reads the whole export, and compares it with what the log has already. */
async function compare(options: ImportOptions, raw: RawLog, ends: ReadonlyMap<string, number>): Promise<void> {
  const targets = new Map(raw.header.ranges.map((range) => [partitionKey(range), range.to]));
  const lengths = options.placement.all.map((where) => {
    const [end, target] = [ends.get(partitionKey(where)) ?? 0, targets.get(partitionKey(where)) ?? 0];
    if (end > Math.max(1, target)) throw notEmpty({ ...where, offset: end - 1 });
    return { isWhole: end === target, target };
  });
  for await (const run of runsOf(placesIn(options, raw))) {
    const present = presentEntries(options, run, ends.get(partitionKey(run)) ?? 0);
    for await (const place of run.places) {
      const found = (await present.next()).value;
      if (found && found.offset > 0 && !isCopy(found, place)) throw notEmpty(found);
    }
  }
  if (lengths.every(({ isWhole }) => isWhole) && lengths.some(({ target }) => target > 1))
    throw new ImportRefused('This export has been imported already: the log has every record of it.');
}

/** What the log has of a partition, one for each offset. */
async function* presentEntries(
  { log }: ImportOptions,
  where: TopicPartition,
  end: number,
): AsyncGenerator<LogEntry, undefined> {
  for await (const entries of entriesOf(log, { topic: where.topic, partition: where.partition, offset: 0 }, end))
    yield* entries;
}

const isCopy = (found: LogEntry, { record, ...at }: Place): boolean =>
  found.offset === at.offset &&
  !isBlank(found) &&
  (record ? fingerprint(found) === fingerprint(record) : isFiller(found));

const notEmpty = (at: Position): ImportRefused =>
  new ImportRefused(
    `The log is not empty: ${showPosition(at)} is no record of the export. Import into a new NAMESPACE, or into a new database (and topics that do not exist).`,
  );

/** The record that belongs at an offset; without one a filler does. */
interface Place extends Position {
  readonly record: LogRecord | undefined;
}

/** Every offset of the export. Throws ImportRefused where readers of that log stop, and for an export that is not whole. */
async function* placesIn(
  { placement, progress }: ImportOptions,
  { header, entries }: RawLog,
): AsyncGenerator<Place, void> {
  const rules = { belongs: placement.belongs, isVoid: voidTestOf(header.voids) };
  const left = new Map(header.ranges.map((range) => [partitionKey(range), range.to]));
  let next: Position | undefined;
  for await (const entry of entries()) {
    const key = partitionKey(entry);
    if (!next || partitionKey(next) !== key) next = { topic: entry.topic, partition: entry.partition, offset: 0 };
    if (entry.offset !== next.offset) throw new ImportRefused(`The export lacks ${showPosition(next)}.`);
    const record = recordOf(entry, rules);
    for (let { offset } = entry; offset <= lastOffsetOf(entry); offset++) yield { ...next, offset, record };
    next = { ...next, offset: lastOffsetOf(entry) + 1 };
    if (next.offset === left.get(key)) left.delete(key);
    progress?.();
  }
  const [short] = left.keys();
  if (short !== undefined) throw new ImportRefused(`The export ends before the end of ${short}.`);
}

/** A blank, and a record that no log can store as it was read, are replaced by fillers, because they count for no reader. */
function recordOf(entry: LogEntry, rules: LogRules): LogRecord | undefined {
  const classification = classify(entry, rules);
  if (classification.kind === 'corrupt')
    throw new ImportRefused(
      `${showPosition(entry)} cannot be judged (${classification.reason}). Mend the log that was exported first: see "A partition is stopped" in the runbook.`,
    );
  return isBlank(entry) || (classification.kind === 'loser' && !isStorable(entry)) ? undefined : entry;
}

const isStorable = ({ key, headers }: LogRecord): boolean =>
  [key, ...Object.keys(headers), ...Object.values(headers)].every(
    (text) => text.isWellFormed() && !text.includes('\0'),
  );

interface Run extends TopicPartition {
  /** To be read to its end before the next run. */
  readonly places: AsyncIterable<Place>;
}

async function* runsOf(places: AsyncGenerator<Place, void>): AsyncGenerator<Run, void> {
  let current = await places.next();
  while (!current.done) {
    const { topic, partition } = current.value;
    const run = async function* () {
      for (
        ;
        !current.done && partitionKey(current.value) === partitionKey({ topic, partition });
        current = await places.next()
      )
        yield current.value;
    };
    yield { topic, partition, places: run() };
  }
}

/** Publishes the voids of the other log as voids of this one. */
async function copyVoids(place: VoidsPlace, { voids }: RawHeader): Promise<void> {
  const { isVoid } = await readVoids(place);
  await publishVoids(
    place,
    voids.filter((each) => !isVoid(each)),
  );
  await readVoids(place);
}

async function write(
  options: ImportOptions,
  raw: RawLog,
  ends: ReadonlyMap<string, number>,
  incarnation: string,
): Promise<Pick<Imported, 'written' | 'filled'>> {
  let [written, filled] = [0, 0];
  async function* records({ places }: Run, from: number): AsyncGenerator<LogRecord, void> {
    for await (const { record, ...at } of places) {
      if (at.offset < from) continue;
      written++;
      if (!record) filled++;
      yield record ?? fillerAt(at, incarnation);
    }
  }
  for await (const run of runsOf(placesIn(options, raw))) {
    const { topic, partition } = run;
    const from = Math.max(1, ends.get(partitionKey(run)) ?? 0); // the genesis record is there
    await writeFrom(options, { topic, partition, offset: from }, records(run, from));
  }
  return { written, filled };
}

const fillerAt = ({ topic, partition, offset }: Position, incarnation: string): LogRecord => {
  const [reason, at] = ['nothing that counts stood here in the log that was imported', new Date().toISOString()];
  return voidRecord({ type: 'PositionVoided', incarnation, topic, partition, offset, lastOffset: offset, reason, at });
};
