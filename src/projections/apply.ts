import type { Envelope } from '../events/envelope.ts';
import type { Position, StoredRecord } from '../events/record.ts';
import type { Faults } from '../faults.ts';
import type { Word } from '../events/word.ts';
import type { DeliveryContext } from '../log/event-log.ts';
import { type Ground, sight, type Sighting, wins } from './arbitrate.ts';
import { halves, type Judged, judgeWork, poisoned, stillNext, type Work } from './judge.ts';
import type { PartitionState } from './partition-state.ts';
import {
  type Accepted,
  type Commit,
  type CommitOutcome,
  Poison,
  type ProjectionStore,
  type StreamHead,
} from './store.ts';

/** Hears what happened, after it was committed. */
export interface ProjectorObserver {
  committed(commit: Commit, word: Word): void;
  lost(record: StoredRecord, reason: string, alarm: boolean): void;
  quarantined(record: StoredRecord, reason: string): void;
  stopped(position: Position, reason: string): void;
}

interface ApplierOptions {
  readonly store: Pick<ProjectionStore, 'heads' | 'commit'>;
  readonly observer: Pick<ProjectorObserver, 'committed' | 'lost' | 'quarantined'>;
  readonly ground: () => Ground;
  /** Stops a partition whose next record is corrupt. */
  readonly stop: (state: PartitionState, reason: string) => Promise<void>;
  readonly faults: Faults;
}

type Apply = (works: readonly Work[], context: DeliveryContext) => Promise<void>;

/** Arbitrates records and commits what follows. What a state remembers afterwards is true, or it has forgotten. */
export function createApplier({ store, observer, ground, stop, faults }: ApplierOptions): Apply {
  /** Applies all works in one transaction; halves them when Postgres refuses a row, until the one that is refused stands alone. */
  async function apply(works: readonly Work[], context: DeliveryContext, trust = true): Promise<void> {
    const judged = await judge(works, trust);
    if (judged.length === 0) return;
    try {
      const outcome = await commit(judged);
      if (outcome !== 'not-new') return;
      if (trust) await apply(worksOf(judged), context, false);
      else forget(judged);
    } catch (error) {
      if (!(error instanceof Poison)) throw error;
      await context.heartbeat();
      await isolate(worksOf(judged), error, context);
    }
  }

  async function isolate(works: readonly Work[], error: Poison, context: DeliveryContext): Promise<void> {
    if (works.length === 1 && works[0]?.records.length === 1) {
      const judged = await judge(works, false);
      if (judged.length > 0) await commit(judged.map((only) => poisoned(only, error.message)));
      return;
    }
    for (const half of halves(works)) {
      const next = half.flatMap((work) => stillNext(work));
      if (next.length > 0) await apply(next, context);
    }
  }

  async function commit(judged: readonly Judged[]): Promise<CommitOutcome> {
    const moves = judged.map(({ work, to }) => ({ ...work.state.where, from: work.from, to }));
    const accepted = judged.flatMap((each) => each.accepted);
    faults['before-commit']?.();
    const outcome = await store.commit({ moves, accepted }).catch((error: unknown) => {
      if (!(error instanceof Poison)) forget(judged);
      throw error;
    });
    if (outcome === 'missed') forget(judged);
    if (typeof outcome === 'string') return outcome;
    for (const { work, to, heads } of judged) work.state.moved(to, heads);
    faults['after-commit']?.();
    tell(judged, { moves, accepted }, outcome.sole);
    return outcome;
  }

  function tell(judged: readonly Judged[], commit: Commit, sole: boolean): void {
    const losers = judged.flatMap((each) => each.losers);
    for (const { record, reason, alarm } of losers) observer.lost(record, reason, alarm);
    for (const { record, payload } of commit.accepted) {
      if (typeof payload === 'object' && 'poison' in payload) observer.quarantined(record, payload.poison);
    }
    const won = commit.accepted.flatMap(({ envelope, payload }) => (isApplied(payload) ? [envelope.id] : []));
    const look = !sole || losers.length > 0 || won.length < commit.accepted.length;
    observer.committed(commit, { won: sole ? won : [], look });
  }

  /**
   * Arbitrates. A work whose first record is corrupt is left out: it is fetched once more, or its partition stops. With
   * trust a stream is taken for new when its first claim says so, which saves reading its head; the commit finds out.
   */
  async function judge(works: readonly Work[], trust: boolean): Promise<Judged[]> {
    const sighted = works.map((work) => ({ work, sightings: work.records.map((record) => sight(record, ground())) }));
    const unknown = sighted.flatMap(({ work, sightings }) => unknownStreams(work, sightings, trust));
    const loaded = unknown.length > 0 ? await loadHeads(unknown, works) : new Map<string, StreamHead>();
    if (loaded === 'missed') return [];
    const judged: Judged[] = [];
    for (const { work, sightings } of sighted) {
      const corrupt = sightings.findIndex(({ kind }) => kind === 'corrupt');
      const sound = corrupt < 0 ? work.records.length : corrupt;
      if (sound > 0) judged.push(judgeWork(work, sightings.slice(0, sound), loaded));
      const culprit = sightings[corrupt];
      if (culprit?.kind === 'corrupt' && !work.state.suspects(work.from.next + corrupt) && sound === 0) {
        await stop(work.state, culprit.reason);
      }
    }
    return judged;
  }

  async function loadHeads(streams: readonly string[], works: readonly Work[]) {
    const at = works.map(({ state, from }) => ({ ...state.where, from }));
    const heads = await store.heads(streams, at);
    if (heads === 'missed') for (const { state } of works) state.forget();
    return heads;
  }

  return apply;
}

const worksOf = (judged: readonly Judged[]) => judged.map(({ work }) => work);

function forget(judged: readonly Judged[]): void {
  for (const { work } of judged) work.state.forget();
}

const isApplied = (payload: Accepted['payload']) => typeof payload === 'object' && 'event' in payload;

/** Streams whose head has to be read. */
function unknownStreams({ state }: Work, sightings: readonly Sighting[], trust: boolean): string[] {
  const first = new Map<string, Envelope>();
  for (const sighting of sightings) {
    if (sighting.kind !== 'claim') continue;
    const { envelope } = sighting;
    if (!first.has(envelope.stream) && !state.heads.has(envelope.stream)) first.set(envelope.stream, envelope);
  }
  return [...first.values()].filter((claim) => !(trust && wins(claim, undefined))).map(({ stream }) => stream);
}
