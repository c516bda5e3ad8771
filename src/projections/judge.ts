import { decodeEvent } from '../events/codec.ts';
import { type Envelope, valueIsIntact } from '../events/envelope.ts';
import type { AnyEvent } from '../events/events.ts';
import type { OwnerChanged } from '../events/genesis.ts';
import type { LogRecord, StoredRecord } from '../events/record.ts';
import { reasonOf } from '../errors.ts';
import { identityOf, lastOffsetOf, type LogEntry } from '../log/entry.ts';
import { lossOf, type Ownership } from '../log/ownership.ts';
import { type Ground, type Rule, sight, type Sighting, wins } from './arbitrate.ts';
import type { PartitionState } from './partition-state.ts';
import type { Accepted, Checkpoint, ProjectionStore, StreamHead } from './store.ts';

/** Consecutive entries of one partition on their way through one transaction. */
export interface Work {
  readonly state: PartitionState;
  readonly from: Checkpoint;
  readonly records: readonly LogEntry[];
}

/** What arbitration made of a work's records. */
export interface Judged {
  readonly work: Work;
  readonly to: Checkpoint;
  readonly accepted: readonly Accepted[];
  readonly losers: readonly { record: LogEntry; reason: string; alarm: boolean }[];
  readonly heads: ReadonlyMap<string, StreamHead>;
  /** The accepted record behind these, by which the log got another owner. It is not applied. */
  readonly lost?: OwnerChanged | undefined;
}

export interface JudgeOptions {
  readonly store: Pick<ProjectionStore, 'heads'>;
  readonly ground: () => Ground;
  /** Which claims win. The model of the write path changes it, to show that it finds a wrong rule. */
  readonly rule?: Rule;
  /** Stops a partition whose next record is corrupt. */
  readonly stop: (state: PartitionState, reason: string) => Promise<void>;
}

/**
 * Arbitrates. A work whose first record is corrupt is left out: it is fetched once more, or its partition stops. With
 * trust a stream is taken for new when its first claim says so, which saves reading its head; the commit finds out.
 */
export type Judge = (works: readonly Work[], trust: boolean) => Promise<Judged[]>;

export function createJudge({ store, ground, stop, rule = wins }: JudgeOptions): Judge {
  async function loadHeads(streams: readonly string[], works: readonly Work[]) {
    const at = works.map(({ state, from }) => ({ ...state.where, from }));
    const heads = await store.heads(streams, at);
    if (heads === 'missed') for (const { state } of works) state.forget();
    return heads;
  }

  async function lose(state: PartitionState, change: OwnerChanged): Promise<void> {
    await stop(state, lossOf(change));
    await ground().ownership?.lost(change);
  }

  return async (works, trust) => {
    const sighted = works.map((work) => ({ work, sightings: work.records.map((record) => sight(record, ground())) }));
    const unknown = sighted.flatMap(({ work, sightings }) => unknownStreams(work, sightings, trust && rule));
    const loaded = unknown.length > 0 ? await loadHeads(unknown, works) : new Map<string, StreamHead>();
    if (loaded === 'missed') return [];
    const judged: Judged[] = [];
    for (const { work, sightings } of sighted) {
      const corrupt = sightings.findIndex(({ kind }) => kind === 'corrupt');
      const sound = corrupt < 0 ? work.records.length : corrupt;
      if (sound > 0) {
        const result = judgeWork(work, sightings.slice(0, sound), { loaded, rule, ownership: ground().ownership });
        if (result.work.records.length > 0) judged.push(result);
        else if (result.lost) await lose(work.state, result.lost);
      }
      const culprit = sightings[corrupt];
      const suspect = work.records[corrupt]?.offset ?? NaN;
      if (culprit?.kind === 'corrupt' && !work.state.suspects(suspect) && sound === 0) {
        await stop(work.state, culprit.reason);
      }
    }
    return judged;
  };
}

/** Streams whose head has to be read; with a rule, not those whose first claim says that they are new. */
function unknownStreams({ state }: Work, sightings: readonly Sighting[], rule: Rule | false): string[] {
  const first = new Map<string, Envelope>();
  for (const sighting of sightings) {
    if (sighting.kind !== 'claim') continue;
    const { envelope } = sighting;
    if (!first.has(envelope.stream) && !state.heads.has(envelope.stream)) first.set(envelope.stream, envelope);
  }
  return [...first.values()].filter((claim) => !(rule && rule(claim, undefined))).map(({ stream }) => stream);
}

export interface JudgeWorkOptions {
  /** Heads that the state does not remember. */
  readonly loaded: ReadonlyMap<string, StreamHead>;
  readonly rule?: Rule;
  readonly ownership?: Ownership | undefined;
}

/**
 * Arbitrates as many of the work's records as there are sightings, none of them corrupt, or only those before the one by which
 * the log is lost to another owner.
 */
export function judgeWork(
  work: Work,
  sightings: readonly Sighting[],
  { loaded, rule = wins, ownership }: JudgeWorkOptions,
): Judged {
  const heads = new Map<string, StreamHead>();
  const headOf = (stream: string) => heads.get(stream) ?? work.state.heads.get(stream) ?? loaded.get(stream);
  const accepted: Accepted[] = [];
  const losers: { record: LogEntry; reason: string; alarm: boolean }[] = [];
  const records: LogEntry[] = [];
  let lost: OwnerChanged | undefined;
  for (const [index, sighting] of sightings.entries()) {
    const entry = work.records[index];
    lost = lossBy(sighting, ownership, rule, headOf);
    if (!entry || lost) break;
    records.push(entry);
    if (sighting.kind !== 'claim') {
      losers.push({ record: entry, reason: sighting.reason, alarm: sighting.kind === 'loser' && sighting.alarm });
      continue;
    }
    const { envelope, record } = sighting;
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
  return { work: { ...work, records }, to: after(work.from, records.at(-1)), accepted, losers, heads, lost };
}

/** Only a winner can take the log away. */
function lossBy(
  sighting: Sighting,
  ownership: Ownership | undefined,
  rule: Rule,
  headOf: (stream: string) => StreamHead | undefined,
): OwnerChanged | undefined {
  if (!ownership || sighting.kind !== 'claim') return undefined;
  const { envelope, record } = sighting;
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
export function halves(works: readonly Work[]): Work[][] {
  const [only] = works;
  if (works.length > 1 || !only) {
    const middle = works.length >> 1;
    return [works.slice(0, middle), works.slice(middle)];
  }
  const middle = only.records.length >> 1;
  return [[{ ...only, records: only.records.slice(0, middle) }], [{ ...only, records: only.records.slice(middle) }]];
}

/** The work as it can go on after others of its partition were committed; nothing if they were not. */
export function stillNext(work: Work): Work[] {
  const { checkpoint } = work.state;
  return checkpoint && checkpoint.next === work.records[0]?.offset ? [{ ...work, from: checkpoint }] : [];
}
