import { partitionKey, type Position, type StoredRecord, type TopicPartition } from '../events/record.ts';
import type { DeliveryContext, Next, Slice, SubscriptionHandler } from '../log/event-log.ts';
import { type Ground, sight } from './arbitrate.ts';
import { halves, type Judged, judgeWork, poisoned, stillNext, type Work } from './judge.ts';
import { PartitionState } from './partition-state.ts';
import { type Commit, Poison, type ProjectionStore, type StreamHead } from './store.ts';

export interface ProjectorOptions {
  readonly store: ProjectionStore;
  readonly belongs: Ground['belongs'];
  /** Reads which positions are void; asked whenever partitions are assigned or resumed. */
  readonly voids: () => Promise<Ground['isVoid']>;
  readonly ends: (partitions: readonly TopicPartition[]) => Promise<Position[]>;
  readonly observer: ProjectorObserver;
  /** Streams of each partition whose head is kept in memory. */
  readonly headsRemembered?: number;
}

const HEADS_REMEMBERED = 20_000;

/** Hears what happened, after it was committed. */
export interface ProjectorObserver {
  committed(commit: Commit): void;
  lost(record: StoredRecord, reason: string, alarm: boolean): void;
  quarantined(record: StoredRecord, reason: string): void;
  stopped(position: Position, reason: string): void;
}

export interface Projector extends SubscriptionHandler {
  /** Partitions that are not consumed any more, and why. */
  stopped(): readonly (TopicPartition & { readonly reason: string })[];
  /** The next offset to apply of every assigned partition, as known last. */
  positions(): readonly Position[];
  /**
   * Starts partitions again that would stand still for ever: stopped ones whose next record was declared void, and those
   * whose commits a crash took back. Returns where each is to be read from.
   */
  retryStopped(): Promise<Position[]>;
  /** Stops partitions whose log was seen twice in a row to end before what is applied: it was shortened or made anew. */
  compareEnds(ends: readonly Position[]): Promise<void>;
}

/**
 * Reads the log in order, accepts or rejects every record by the rule, and writes what follows with the checkpoint in one
 * transaction. Any number of projectors may run on the same partition, old ones that were thought dead included: only the
 * one whose checkpoint is still true can write.
 */
export function createProjector(options: ProjectorOptions): Projector {
  const { store, belongs, voids, ends, observer, headsRemembered = HEADS_REMEMBERED } = options;
  let states = new Map<string, PartitionState>();
  let ground: Ground = { belongs, isVoid: () => false };

  async function begin(begun: ReadonlyMap<string, PartitionState>): Promise<Position[]> {
    const partitions = [...begun.values()].map(({ where }) => where);
    const [isVoid, checkpoints] = await Promise.all([voids(), store.checkpoints(partitions)]);
    const logEnds = await ends(partitions); // not before: another projector may still move the checkpoint past an older end
    ground = { belongs, isVoid };
    const endOf = new Map(logEnds.map((end) => [partitionKey(end), end.offset]));
    const starts = checkpoints.map(async (checkpoint) => {
      const state = begun.get(partitionKey(checkpoint));
      if (!state) throw new Error(`The store answered for ${partitionKey(checkpoint)}, which was not asked for.`);
      const offset = state.begin(checkpoint);
      const end = endOf.get(partitionKey(checkpoint)) ?? 0;
      if (end < checkpoint.next) await stop(state, `the log ends at ${end}, before the checkpoint`);
      else if (checkpoint.next === 0) await takeBackNote(state);
      return { ...state.where, offset };
    });
    return Promise.all(starts);
  }

  async function assigned(partitions: readonly TopicPartition[]): Promise<Position[]> {
    states = new Map(partitions.map((where) => [partitionKey(where), new PartitionState(where, headsRemembered)]));
    return begin(states);
  }

  async function deliver(slices: readonly Slice[], context: DeliveryContext): Promise<Next[]> {
    try {
      return await handle(slices, context);
    } catch (error) {
      for (const slice of slices) stateOf(slice).unheard();
      throw error;
    }
  }

  async function handle(slices: readonly Slice[], context: DeliveryContext): Promise<Next[]> {
    const works: Work[] = [];
    const nexts = new Map<PartitionState, Next>();
    for (const slice of slices) {
      const state = stateOf(slice);
      const work = await prepare(state, slice);
      if (typeof work === 'object') works.push(work);
      else nexts.set(state, { ...state.where, next: work });
    }
    if (works.length > 0) await apply(works, context);
    for (const { state } of works) nexts.set(state, { ...state.where, next: await nextOf(state) });
    return [...nexts.values()];
  }

  function stateOf(where: TopicPartition): PartitionState {
    const state = states.get(partitionKey(where));
    if (!state) throw new Error(`${partitionKey(where)} was delivered and is not assigned.`);
    return state;
  }

  /** The slice as work, or the offset to go on at when it cannot be applied as it is. */
  async function prepare(state: PartitionState, slice: Slice): Promise<Work | number | 'stopped'> {
    if (state.stopped !== undefined) return 'stopped';
    if (!state.checkpoint) return recall(state);
    const approach = state.approach(state.checkpoint, slice.records);
    switch (approach.kind) {
      case 'continue':
        if (approach.next === state.checkpoint.next) await takeBackNote(state); // nothing may follow that would do it
        return approach.next;
      case 'stop':
        await stop(state, approach.reason);
        return 'stopped';
      case 'apply':
        await takeBackNote(state);
        return { state, from: state.checkpoint, records: approach.records };
    }
  }

  /** After a commit that missed or failed: the checkpoint as the store has it, and nothing remembered. */
  async function recall(state: PartitionState): Promise<number> {
    const [checkpoint] = await store.checkpoints([state.where]);
    if (!checkpoint) throw new Error(`There is no checkpoint of ${partitionKey(state.where)}.`);
    return state.begin(checkpoint);
  }

  async function nextOf(state: PartitionState): Promise<number | 'stopped'> {
    if (state.stopped !== undefined) return 'stopped';
    return state.checkpoint?.next ?? recall(state);
  }

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
    const sighted = works.map((work) => ({ work, sightings: work.records.map((record) => sight(record, ground)) }));
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

  async function stop(state: PartitionState, reason: string): Promise<void> {
    state.stopped = reason;
    state.noted = true;
    observer.stopped({ ...state.where, offset: state.checkpoint?.next ?? 0 }, reason);
    await store.noteStopped(state.where, reason).catch(() => undefined); // it has stopped all the same
  }

  async function retryStopped(): Promise<Position[]> {
    return [...(await retryVoided()), ...(await retrySetBack())];
  }

  async function retryVoided(): Promise<Position[]> {
    const stopped = [...states].filter(([, state]) => state.stopped !== undefined);
    if (stopped.length === 0) return [];
    const isVoid = await voids();
    const freed = stopped.filter(([, { where, checkpoint }]) => isVoid({ ...where, offset: checkpoint?.next ?? 0 }));
    return freed.length > 0 ? begin(new Map(freed)) : [];
  }

  /** A crash can take back commits while nothing is delivered: no commit misses, and readers would wait for ever. */
  async function retrySetBack(): Promise<Position[]> {
    const running = [...states.values()].filter(({ stopped }) => stopped === undefined);
    const believed = new Map(running.map(({ where, checkpoint }) => [partitionKey(where), checkpoint]));
    const stored = await store.checkpoints(running.map(({ where }) => where));
    return stored.flatMap(({ topic, partition, next }) => {
      const state = states.get(partitionKey({ topic, partition })); // of a later join than the question, perhaps
      const checkpoint = believed.get(partitionKey({ topic, partition }));
      if (!state || !checkpoint || state.checkpoint !== checkpoint || checkpoint.next <= next) return [];
      state.forget();
      return [{ topic, partition, offset: next }];
    });
  }

  async function compareEnds(ends: readonly Position[]): Promise<void> {
    for (const end of ends) {
      const state = states.get(partitionKey(end));
      if (state?.endsBefore(end.offset)) await stop(state, `the log ends at ${end.offset}, before the checkpoint`);
    }
  }

  async function takeBackNote(state: PartitionState): Promise<void> {
    if (!state.noted) return;
    await store.noteStopped(state.where, null);
    state.noted = false;
  }

  return {
    assigned,
    deliver,
    stopped: () =>
      [...states.values()].flatMap(({ where, stopped }) =>
        stopped === undefined ? [] : [{ ...where, reason: stopped }],
      ),
    positions: () =>
      [...states.values()].flatMap(({ where, position }) =>
        position === undefined ? [] : [{ ...where, offset: position }],
      ),
    retryStopped,
    compareEnds,
  };
}
