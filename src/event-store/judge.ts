import { decodeEvent } from '../events/codec.ts';
import { type Envelope, valueIsIntact } from '../events/envelope.ts';
import type { AnyEvent } from '../events/events.ts';
import type { OwnerChanged } from '../events/genesis.ts';
import type { LogRecord, StoredRecord } from '../events/record.ts';
import { reasonOf } from '../errors.ts';
import { identityOf, lastOffsetOf, type LogEntry } from '../log/entry.ts';
import { describeOwnerChange, type Ownership } from '../log/ownership.ts';
import { type LogRules, type Rule, classify, type Classification, wins } from './arbitrate.ts';
import type { PartitionState } from './partition-state.ts';
import type { Accepted, Checkpoint, HeadReader, StreamHead } from './judgement.ts';

/** Consecutive entries of one partition that are applied in one transaction. */
export interface PartitionBatch {
  readonly state: PartitionState;
  readonly from: Checkpoint;
  readonly records: readonly LogEntry[];
}

/** The result of arbitrating a batch. */
export interface Judged {
  readonly batch: PartitionBatch;
  readonly to: Checkpoint;
  readonly accepted: readonly Accepted[];
  readonly losers: readonly { record: LogEntry; reason: string; alarm: boolean }[];
  readonly heads: ReadonlyMap<string, StreamHead>;
  /** The accepted record after these that gives the log to another owner. It is not applied. */
  readonly ownerChanged?: OwnerChanged | undefined;
}

export interface JudgeOptions {
  readonly store: HeadReader;
  readonly rules: () => LogRules;
  /** Which claims win. The model of the write path replaces it, to show that it detects a wrong rule. */
  readonly rule?: Rule;
  /** Stops a partition whose next record is corrupt or belongs to another owner. */
  readonly stop: (state: PartitionState, reason: string) => Promise<void>;
}

/**
 * Arbitrates batches. A batch whose first record is corrupt is left out: it is fetched once more, or its partition stops. With
 * `assumeNew` a stream whose first claim is version 1 counts as new, which saves reading its head; if it exists already, the
 * commit fails on the unique key.
 */
export type Judge = (batches: readonly PartitionBatch[], assumeNew: boolean) => Promise<Judged[]>;

export function createJudge({ store, rules, stop, rule = wins }: JudgeOptions): Judge {
  async function loadHeads(streams: readonly string[], batches: readonly PartitionBatch[]) {
    const at = batches.map(({ state, from }) => ({ ...state.where, from }));
    const heads = await store.heads(streams, at);
    if (heads === 'missed') for (const { state } of batches) state.forget();
    return heads;
  }

  async function stopAtOwnerChange(state: PartitionState, change: OwnerChanged): Promise<void> {
    await stop(state, describeOwnerChange(change));
    await rules().ownership?.onChange(change);
  }

  return async (batches, assumeNew) => {
    const classified = batches.map((batch) => ({
      batch,
      classifications: batch.records.map((record) => classify(record, rules())),
    }));
    // A state can forget a head while others are read, so what it remembers is taken before.
    const heads = new Map<string, StreamHead>();
    const unread = classified.flatMap((each) => rememberedHeads(each, { rule, assumeNew }, heads));
    const loaded = unread.length > 0 ? await loadHeads(unread, batches) : [];
    if (loaded === 'missed') return [];
    for (const [stream, head] of loaded) heads.set(stream, head);
    const judged: Judged[] = [];
    for (const { batch, classifications } of classified) {
      const corrupt = classifications.findIndex(({ kind }) => kind === 'corrupt');
      const sound = corrupt < 0 ? batch.records.length : corrupt;
      if (sound > 0) {
        const result = judgeBatch(batch, classifications.slice(0, sound), {
          loaded: heads,
          rule,
          ownership: rules().ownership,
        });
        if (result.batch.records.length > 0) judged.push(result);
        else if (result.ownerChanged) await stopAtOwnerChange(batch.state, result.ownerChanged);
      }
      const culprit = classifications[corrupt];
      const suspect = batch.records[corrupt]?.offset ?? NaN;
      if (culprit?.kind === 'corrupt' && !batch.state.suspects(suspect) && sound === 0) {
        await stop(batch.state, culprit.reason);
      }
    }
    return judged;
  };
}

interface ClassifiedBatch {
  readonly batch: PartitionBatch;
  readonly classifications: readonly Classification[];
}

/**
 * Adds the heads that the partition's state remembers of the batch's streams. Returns the streams whose head must be read; if
 * `assumeNew`, a stream whose first claim wins as version 1 of a new stream is not among them.
 */
function rememberedHeads(
  { batch, classifications }: ClassifiedBatch,
  { rule, assumeNew }: { readonly rule: Rule; readonly assumeNew: boolean },
  heads: Map<string, StreamHead>,
): string[] {
  const first = new Map<string, Envelope>();
  for (const classification of classifications) {
    if (classification.kind !== 'claim') continue;
    const { envelope } = classification;
    if (heads.has(envelope.stream) || first.has(envelope.stream)) continue;
    const head = batch.state.heads.get(envelope.stream);
    if (head) heads.set(envelope.stream, head);
    else first.set(envelope.stream, envelope);
  }
  return [...first.values()].filter((claim) => !(assumeNew && rule(claim, undefined))).map(({ stream }) => stream);
}

export interface JudgeBatchOptions {
  /** Heads of the batch's streams, of which the partition's state may have forgotten some. */
  readonly loaded: ReadonlyMap<string, StreamHead>;
  readonly rule?: Rule;
  readonly ownership?: Ownership | undefined;
}

/**
 * Arbitrates as many records of the batch as there are classifications, none of them corrupt. Ends before a record that gives
 * the log to another owner.
 */
export function judgeBatch(
  batch: PartitionBatch,
  classifications: readonly Classification[],
  { loaded, rule = wins, ownership }: JudgeBatchOptions,
): Judged {
  const heads = new Map<string, StreamHead>();
  const headOf = (stream: string) => heads.get(stream) ?? batch.state.heads.get(stream) ?? loaded.get(stream);
  const accepted: Accepted[] = [];
  const losers: { record: LogEntry; reason: string; alarm: boolean }[] = [];
  const records: LogEntry[] = [];
  let ownerChanged: OwnerChanged | undefined;
  for (const [index, classification] of classifications.entries()) {
    const entry = batch.records[index];
    ownerChanged = ownerChangeBy(classification, ownership, rule, headOf);
    if (!entry || ownerChanged) break;
    records.push(entry);
    if (classification.kind !== 'claim') {
      losers.push({
        record: entry,
        reason: classification.reason,
        alarm: classification.kind === 'loser' && classification.alarm,
      });
      continue;
    }
    const { envelope, record } = classification;
    const head = headOf(envelope.stream);
    if (!rule(envelope, head)) {
      losers.push({ record, reason: 'lost the race', alarm: false });
      continue;
    }
    const payload = head?.closed ? ('kept' as const) : payloadOf(record, envelope);
    accepted.push({ record, envelope, payload });
    const closed = typeof payload === 'string' || 'poison' in payload;
    heads.set(envelope.stream, { version: envelope.version, id: envelope.id, closed });
  }
  return { batch: { ...batch, records }, to: after(batch.from, records.at(-1)), accepted, losers, heads, ownerChanged };
}

/** The change of owner that the record makes, if it wins. */
function ownerChangeBy(
  classification: Classification,
  ownership: Ownership | undefined,
  rule: Rule,
  headOf: (stream: string) => StreamHead | undefined,
): OwnerChanged | undefined {
  if (!ownership || classification.kind !== 'claim') return undefined;
  const { envelope, record } = classification;
  const change = ownership.changeBy(envelope, record);
  return change && rule(envelope, headOf(envelope.stream)) ? change : undefined;
}

function after(from: Checkpoint, last: LogEntry | undefined): Checkpoint {
  if (!last) return from;
  const { leaderEpoch } = last;
  return { next: lastOffsetOf(last) + 1, fence: from.fence, fingerprint: identityOf(last), leaderEpoch };
}

function payloadOf(record: StoredRecord, envelope: Envelope): Accepted['payload'] {
  try {
    return { event: eventOf(record, envelope.type) };
  } catch (error) {
    return { poison: reasonOf(error) };
  }
}

/**
 * The event of an accepted record; throws with the reason when it cannot be decoded. NUL, which Postgres cannot store in text,
 * is refused here: rows are folded before they are written, so whether Postgres sees it depends on what came in one batch.
 */
export function eventOf(record: LogRecord, type: string): AnyEvent {
  if (!valueIsIntact(record)) throw new Error('the checksum of the value is wrong');
  const event = decodeEvent(type, record.value);
  if (containsNul(event)) throw new Error('a text of the event holds NUL');
  return event;
}

function containsNul(value: unknown): boolean {
  if (typeof value === 'string') return value.includes('\0');
  return typeof value === 'object' && value !== null && Object.values(value).some(containsNul);
}

/** The judgement of a batch of one winner, with its payload refused for that reason. */
export function poisoned(judged: Judged, reason: string): Judged {
  return {
    ...judged,
    accepted: judged.accepted.map((each) => ({ ...each, payload: { poison: reason } })),
    heads: new Map([...judged.heads].map(([stream, head]) => [stream, { ...head, closed: true }])),
  };
}

/** Halves the batches: between partitions first, then within one. */
export function bisect(batches: readonly PartitionBatch[]): PartitionBatch[][] {
  const [only] = batches;
  if (batches.length > 1 || !only) {
    const middle = batches.length >> 1;
    return [batches.slice(0, middle), batches.slice(middle)];
  }
  const middle = only.records.length >> 1;
  return [[{ ...only, records: only.records.slice(0, middle) }], [{ ...only, records: only.records.slice(middle) }]];
}

/** The batch from the checkpoint that its partition has now; empty unless the records before it were committed. */
export function remainingBatch(batch: PartitionBatch): PartitionBatch[] {
  const { checkpoint } = batch.state;
  return checkpoint && checkpoint.next === batch.records[0]?.offset ? [{ ...batch, from: checkpoint }] : [];
}
