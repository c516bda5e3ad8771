import { decodeEvent } from '../events/codec.ts';
import { type Envelope, valueIsIntact } from '../events/envelope.ts';
import type { AnyEvent } from '../events/events.ts';
import type { OwnerChanged } from '../events/genesis.ts';
import type { LogRecord, StoredRecord } from '../events/record.ts';
import { reasonOf } from '../errors.ts';
import { identityOf, lastOffsetOf, type LogEntry } from '../log/entry.ts';
import { lossOf, type Ownership } from '../log/ownership.ts';
import { type LogRules, type Rule, classify, type Classification, wins } from './arbitrate.ts';
import type { PartitionState } from './partition-state.ts';
import type { Accepted, Checkpoint, HeadReader, StreamHead } from './judgement.ts';

/** Consecutive entries of one partition on their way through one transaction. */
export interface PartitionBatch {
  readonly state: PartitionState;
  readonly from: Checkpoint;
  readonly records: readonly LogEntry[];
}

/** What arbitration made of a work's records. */
export interface Judged {
  readonly batch: PartitionBatch;
  readonly to: Checkpoint;
  readonly accepted: readonly Accepted[];
  readonly losers: readonly { record: LogEntry; reason: string; alarm: boolean }[];
  readonly heads: ReadonlyMap<string, StreamHead>;
  /** The accepted record behind these, by which the log got another owner. It is not applied. */
  readonly lost?: OwnerChanged | undefined;
}

export interface JudgeOptions {
  readonly store: HeadReader;
  readonly rules: () => LogRules;
  /** Which claims win. The model of the write path changes it, to show that it finds a wrong rule. */
  readonly rule?: Rule;
  /** Stops a partition whose next record is corrupt. */
  readonly stop: (state: PartitionState, reason: string) => Promise<void>;
}

/**
 * Arbitrates. A work whose first record is corrupt is left out: it is fetched once more, or its partition stops. With
 * trust a stream is taken for new when its first claim says so, which saves reading its head; the commit finds out.
 */
export type Judge = (works: readonly PartitionBatch[], trust: boolean) => Promise<Judged[]>;

export function createJudge({ store, rules: rules, stop, rule = wins }: JudgeOptions): Judge {
  async function loadHeads(streams: readonly string[], works: readonly PartitionBatch[]) {
    const at = works.map(({ state, from }) => ({ ...state.where, from }));
    const heads = await store.heads(streams, at);
    if (heads === 'missed') for (const { state } of works) state.forget();
    return heads;
  }

  async function lose(state: PartitionState, change: OwnerChanged): Promise<void> {
    await stop(state, lossOf(change));
    await rules().ownership?.lost(change);
  }

  return async (works, trust) => {
    const classified = works.map((work) => ({
      work,
      classifications: work.records.map((record) => classify(record, rules())),
    }));
    const unknown = classified.flatMap(({ work, classifications }) =>
      unknownStreams(work, classifications, trust && rule),
    );
    const loaded = unknown.length > 0 ? await loadHeads(unknown, works) : new Map<string, StreamHead>();
    if (loaded === 'missed') return [];
    const judged: Judged[] = [];
    for (const { work, classifications } of classified) {
      const corrupt = classifications.findIndex(({ kind }) => kind === 'corrupt');
      const sound = corrupt < 0 ? work.records.length : corrupt;
      if (sound > 0) {
        const result = judgeBatch(work, classifications.slice(0, sound), {
          loaded,
          rule,
          ownership: rules().ownership,
        });
        if (result.batch.records.length > 0) judged.push(result);
        else if (result.lost) await lose(work.state, result.lost);
      }
      const culprit = classifications[corrupt];
      const suspect = work.records[corrupt]?.offset ?? NaN;
      if (culprit?.kind === 'corrupt' && !work.state.suspects(suspect) && sound === 0) {
        await stop(work.state, culprit.reason);
      }
    }
    return judged;
  };
}

/** Streams whose head has to be read; with a rule, not those whose first claim says that they are new. */
function unknownStreams(
  { state }: PartitionBatch,
  classifications: readonly Classification[],
  rule: Rule | false,
): string[] {
  const first = new Map<string, Envelope>();
  for (const classification of classifications) {
    if (classification.kind !== 'claim') continue;
    const { envelope } = classification;
    if (!first.has(envelope.stream) && !state.heads.has(envelope.stream)) first.set(envelope.stream, envelope);
  }
  return [...first.values()].filter((claim) => !(rule && rule(claim, undefined))).map(({ stream }) => stream);
}

export interface JudgeBatchOptions {
  /** Heads that the state does not remember. */
  readonly loaded: ReadonlyMap<string, StreamHead>;
  readonly rule?: Rule;
  readonly ownership?: Ownership | undefined;
}

/**
 * Arbitrates as many of the work's records as there are classifications, none of them corrupt, or only those before the one by which
 * the log is lost to another owner.
 */
export function judgeBatch(
  work: PartitionBatch,
  classifications: readonly Classification[],
  { loaded, rule = wins, ownership }: JudgeBatchOptions,
): Judged {
  const heads = new Map<string, StreamHead>();
  const headOf = (stream: string) => heads.get(stream) ?? work.state.heads.get(stream) ?? loaded.get(stream);
  const accepted: Accepted[] = [];
  const losers: { record: LogEntry; reason: string; alarm: boolean }[] = [];
  const records: LogEntry[] = [];
  let lost: OwnerChanged | undefined;
  for (const [index, classification] of classifications.entries()) {
    const entry = work.records[index];
    lost = lossBy(classification, ownership, rule, headOf);
    if (!entry || lost) break;
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
  return { batch: { ...work, records }, to: after(work.from, records.at(-1)), accepted, losers, heads, lost };
}

/** Only a winner can take the log away. */
function lossBy(
  classification: Classification,
  ownership: Ownership | undefined,
  rule: Rule,
  headOf: (stream: string) => StreamHead | undefined,
): OwnerChanged | undefined {
  if (!ownership || classification.kind !== 'claim') return undefined;
  const { envelope, record } = classification;
  const change = ownership.lostBy(envelope, record);
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
 * The event of an accepted record; throws with the reason when it cannot be had. NUL, which no text of Postgres holds, is
 * refused here: rows are folded before they are written, so whether Postgres meets it depends on what came in one batch.
 */
export function eventOf(record: LogRecord, type: string): AnyEvent {
  if (!valueIsIntact(record)) throw new Error('the checksum of the value is wrong');
  const event = decodeEvent(type, record.value);
  if (holdsNul(event)) throw new Error('a text of the event holds NUL');
  return event;
}

function holdsNul(value: unknown): boolean {
  if (typeof value === 'string') return value.includes('\0');
  return typeof value === 'object' && value !== null && Object.values(value).some(holdsNul);
}

/** The same judgement with the one winner's payload refused. */
export function poisoned(judged: Judged, reason: string): Judged {
  return {
    ...judged,
    accepted: judged.accepted.map((each) => ({ ...each, payload: { poison: reason } })),
    heads: new Map([...judged.heads].map(([stream, head]) => [stream, { ...head, closed: true }])),
  };
}

/** Splits works between partitions first, then within one. */
export function bisect(works: readonly PartitionBatch[]): PartitionBatch[][] {
  const [only] = works;
  if (works.length > 1 || !only) {
    const middle = works.length >> 1;
    return [works.slice(0, middle), works.slice(middle)];
  }
  const middle = only.records.length >> 1;
  return [[{ ...only, records: only.records.slice(0, middle) }], [{ ...only, records: only.records.slice(middle) }]];
}

/** The work as it can go on after others of its partition were committed; nothing if they were not. */
export function remainingBatch(work: PartitionBatch): PartitionBatch[] {
  const { checkpoint } = work.state;
  return checkpoint && checkpoint.next === work.records[0]?.offset ? [{ ...work, from: checkpoint }] : [];
}
