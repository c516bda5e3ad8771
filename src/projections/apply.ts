import type { Position, StoredRecord } from '../events/record.ts';
import type { DeliveryContext } from '../log/event-log.ts';
import { type Ground, sight } from './arbitrate.ts';
import { halves, type Judged, judgeWork, poisoned, stillNext, type Work } from './judge.ts';
import type { PartitionState } from './partition-state.ts';
import { type Commit, Poison, type ProjectionStore, type StreamHead } from './store.ts';

/** Hears what happened, after it was committed. */
export interface ProjectorObserver {
  committed(commit: Commit): void;
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
}

type Apply = (works: readonly Work[], context: DeliveryContext) => Promise<void>;

/** Arbitrates records and commits what follows. What a state remembers afterwards is true, or it has forgotten. */
export function createApplier({ store, observer, ground, stop }: ApplierOptions): Apply {
  /** Applies all works in one transaction; halves them when Postgres refuses a row, until the one that is refused stands alone. */
  async function apply(works: readonly Work[], context: DeliveryContext): Promise<void> {
    const judged = await judge(works);
    if (judged.length === 0) return;
    try {
      await commit(judged);
    } catch (error) {
      if (!(error instanceof Poison)) throw error;
      await context.heartbeat();
      await isolate(judged, error, context);
    }
  }

  async function isolate(judged: readonly Judged[], error: Poison, context: DeliveryContext): Promise<void> {
    const [only, ...others] = judged;
    if (only && others.length === 0 && only.work.records.length === 1) {
      await commit([poisoned(only, error.message)]);
      return;
    }
    for (const half of halves(judged.map(({ work }) => work))) {
      const works = half.flatMap((work) => stillNext(work));
      if (works.length > 0) await apply(works, context);
    }
  }

  async function commit(judged: readonly Judged[]): Promise<void> {
    const moves = judged.map(({ work, to }) => ({ ...work.state.where, from: work.from, to }));
    const accepted = judged.flatMap((each) => each.accepted);
    const outcome = await store.commit({ moves, accepted }).catch((error: unknown) => {
      if (!(error instanceof Poison)) for (const { work } of judged) work.state.forget();
      throw error;
    });
    for (const { work, to, heads } of judged) {
      if (outcome === 'moved') work.state.moved(to, heads);
      else work.state.forget();
    }
    if (outcome === 'moved') tell(judged, { moves, accepted });
  }

  function tell(judged: readonly Judged[], commit: Commit): void {
    for (const { losers } of judged)
      for (const { record, reason, alarm } of losers) observer.lost(record, reason, alarm);
    for (const { record, payload } of commit.accepted) {
      if (typeof payload === 'object' && 'poison' in payload) observer.quarantined(record, payload.poison);
    }
    observer.committed(commit);
  }

  /** Arbitrates. A work whose first record is corrupt is left out: it is fetched once more, or its partition stops. */
  async function judge(works: readonly Work[]): Promise<Judged[]> {
    const sighted = works.map((work) => ({ work, sightings: work.records.map((record) => sight(record, ground())) }));
    const unknown = sighted.flatMap(({ work, sightings }) =>
      sightings.flatMap((sighting) =>
        sighting.kind === 'claim' && !work.state.heads.has(sighting.envelope.stream) ? [sighting.envelope.stream] : [],
      ),
    );
    const loaded = unknown.length > 0 ? await loadHeads([...new Set(unknown)], works) : new Map<string, StreamHead>();
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
