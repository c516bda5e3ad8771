import { reasonOf } from '../../errors.ts';
import { decodeEvent } from '../../events/codec.ts';
import { type Envelope, valueIsIntact } from '../../events/envelope.ts';
import type { LogOwner } from '../../events/genesis.ts';
import type { Placement } from '../../events/placement.ts';
import { type Position, showPosition, type StoredRecord, type TopicPartition } from '../../events/record.ts';
import { isBlank, lastOffsetOf, type LogEntry, missing, type Span, withMissing } from '../../log/entry.ts';
import type { EventLog } from '../../log/event-log.ts';
import { ownerIn, readGenesis } from '../../log/genesis.ts';
import { showOwner } from '../../log/owner.ts';
import { voidTestOf } from '../../log/voids.ts';
import { type LogRules, type Head, classify, wins } from '../../event-store/arbitrate.ts';

export interface VerifyOptions {
  readonly log: EventLog;
  readonly placement: Placement;
  /** Verifies only these topics; all event topics when undefined. */
  readonly topics?: readonly string[];
  /** Offsets declared void. */
  readonly voids: readonly Span[];
  /** Called after every read with the position in the partition. */
  readonly progress?: (at: Position, end: number) => void;
  /** Called with every winner. */
  readonly accepted?: (record: StoredRecord, envelope: Envelope) => void;
  /** Called with every entry at which a reader must stop. */
  readonly corrupt?: (entry: LogEntry) => void;
}

export interface LogReport {
  readonly partitions: readonly PartitionReport[];
  /** The faults of all partitions. */
  readonly faults: readonly string[];
}

/** The records of one partition up to its end, by verdict. */
export interface PartitionReport extends TopicPartition {
  readonly end: number;
  /** The database that owns the partition by its genesis stream; null when none does, undefined without a genesis record. */
  readonly owner: LogOwner | null | undefined;
  readonly streams: number;
  readonly winners: number;
  /** How many losers, by reason. Every log of concurrent writers has some. */
  readonly losers: Readonly<Record<string, number>>;
  /** What no OpenMusic writer can have caused, each with its position; the first thousand. */
  readonly faults: readonly string[];
}

const READ_BYTES = 4 * 2 ** 20;
/** How many faults of each partition are kept. */
const MAX_FAULTS = 1_000;

/**
 * Reads every event topic from offset 0 to its current end, and judges each record anew. Keeps the heads of one partition in
 * memory at a time.
 */
export async function verifyLog(options: VerifyOptions): Promise<LogReport> {
  const { log, placement, topics = placement.topics } = options;
  const partitions: PartitionReport[] = [];
  const all = placement.all.filter(({ topic }) => topics.includes(topic));
  for (const end of await log.ends(all)) partitions.push(await verifyPartition(options, end));
  return { partitions, faults: [...partitions.flatMap(({ faults }) => faults), ...mixedOwners(partitions)] };
}

function mixedOwners(partitions: readonly PartitionReport[]): string[] {
  const owners = new Set(partitions.flatMap(({ owner }) => (owner === undefined ? [] : [showOwner(owner)])));
  if (owners.size < 2) return [];
  return [
    `partitions belong to different databases, ${[...owners].join(' and ')}: run \`log adopt\` again, because a run did not complete`,
  ];
}

/** Judges one partition up to `end`. */
export async function verifyPartition(options: VerifyOptions, end: Position): Promise<PartitionReport> {
  const { log, progress } = options;
  const [{ offset: begin } = { offset: 0 }] = await log.begins([end]);
  const examiner = new Examiner(options);
  if (begin > 0) examiner.examine([missing(end, 0, begin - 1)]);
  for (let next = begin; next < end.offset; progress?.({ ...end, offset: next }, end.offset)) {
    const entries = await log.read({ ...end, offset: next }, { maxBytes: READ_BYTES });
    if (entries.length === 0) break;
    next = examiner.examine(entries.filter(({ offset }) => offset < end.offset)) ?? end.offset;
  }
  return examiner.report(end);
}

/** Judges one partition in the order of its offsets. */
class Examiner {
  readonly #options: VerifyOptions;
  readonly #rules: LogRules;
  readonly #heads = new Map<string, Head>();
  readonly #losers: Record<string, number> = {};
  readonly #faults: string[] = [];
  #next = 0;
  #owner: LogOwner | null | undefined;
  #winners = 0;

  constructor(options: VerifyOptions) {
    this.#options = options;
    this.#rules = { belongs: options.placement.belongs, isVoid: voidTestOf(options.voids) };
  }

  /** Returns the offset after the entries; undefined when there are none. */
  examine(entries: readonly LogEntry[]): number | undefined {
    for (const entry of withMissing(this.#next, entries)) {
      if (this.#next === 0) this.#examineFirst(entry);
      this.#judge(entry);
      this.#next = lastOffsetOf(entry) + 1;
    }
    return entries.length === 0 ? undefined : this.#next;
  }

  report({ topic, partition, offset: end }: Position): PartitionReport {
    const at = { topic, partition, offset: this.#next };
    if (end === 0) this.#fault(at, 'the partition has no genesis record');
    if (this.#next < end) this.#fault(at, `nothing can be read up to the end of the partition, ${end}`);
    const [streams, winners, losers, faults] = [this.#heads.size, this.#winners, this.#losers, this.#faults];
    return { topic, partition, end, owner: this.#owner, streams, winners, losers, faults };
  }

  #examineFirst(entry: LogEntry): void {
    const genesis = isBlank(entry) ? 'the genesis record is missing' : readGenesis(this.#options.placement, entry);
    if (typeof genesis === 'string') this.#fault(entry, genesis);
  }

  #judge(entry: LogEntry): void {
    const classification = classify(entry, this.#rules);
    if (classification.kind === 'corrupt') this.#stopAt(entry, classification.reason);
    else if (classification.kind === 'loser') this.#lose(classification.reason);
    else this.#judgeClaim(classification.record, classification.envelope);
  }

  #stopAt(entry: LogEntry, reason: string): void {
    this.#fault(entry, reason);
    this.#options.corrupt?.(entry);
  }

  #judgeClaim(record: StoredRecord, envelope: Envelope): void {
    const intact = valueIsIntact(record);
    if (!intact) this.#fault(record, 'the checksum of the value is wrong');
    if (!wins(envelope, this.#heads.get(envelope.stream))) this.#lose('lost the race');
    else this.#accept(record, envelope, intact);
  }

  #accept(record: StoredRecord, envelope: Envelope, intact: boolean): void {
    const { stream, version, id, type } = envelope;
    this.#winners++;
    const change = ownerIn({ stream, type }, record, this.#options.placement);
    if (change) this.#owner = change.owner;
    this.#options.accepted?.(record, envelope);
    this.#heads.set(stream, { version, id });
    const unreadable = intact ? decodingFault(type, record) : undefined;
    if (unreadable !== undefined) this.#fault(record, `cannot be decoded: ${unreadable}`);
  }

  #lose(reason: string): void {
    this.#losers[reason] = (this.#losers[reason] ?? 0) + 1;
  }

  #fault(at: Position, reason: string): void {
    if (this.#faults.length < MAX_FAULTS) this.#faults.push(`${showPosition(at)}: ${reason}`);
  }
}

function decodingFault(type: string, { value }: StoredRecord): string | undefined {
  try {
    decodeEvent(type, value);
    return undefined;
  } catch (error) {
    return reasonOf(error);
  }
}
