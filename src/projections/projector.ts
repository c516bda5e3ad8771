import { partitionKey, type Position, type TopicPartition } from '../events/record.ts';
import type { Faults } from '../faults.ts';
import type { DeliveryContext, Next, Slice, SubscriptionHandler } from '../log/event-log.ts';
import { createApplier, type ProjectorObserver } from './apply.ts';
import type { Ground } from './arbitrate.ts';
import type { Work } from './judge.ts';
import { PartitionState } from './partition-state.ts';
import type { ProjectionStore } from './store.ts';

export interface ProjectorOptions {
  readonly store: ProjectionStore;
  readonly belongs: Ground['belongs'];
  /** Reads which positions are void; asked whenever partitions are assigned or resumed. */
  readonly voids: () => Promise<Ground['isVoid']>;
  readonly ends: (partitions: readonly TopicPartition[]) => Promise<Position[]>;
  readonly observer: ProjectorObserver;
  /** Streams of each partition whose head is kept in memory. */
  readonly headsRemembered?: number;
  readonly faults?: Faults;
}

const HEADS_REMEMBERED = 20_000;

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
  const { store, belongs, voids, ends, observer, headsRemembered = HEADS_REMEMBERED, faults = {} } = options;
  let states = new Map<string, PartitionState>();
  let ground: Ground = { belongs, isVoid: () => false };
  const apply = createApplier({ store, observer, ground: () => ground, stop, faults });

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
    const nexts = new Map<PartitionState, Next['next'] | undefined>();
    for (const slice of slices) {
      const state = stateOf(slice);
      const work = await prepare(state, slice);
      if (typeof work === 'object') works.push(work);
      nexts.set(state, typeof work === 'object' ? undefined : work);
    }
    if (works.length > 0) await apply(works, context);
    await recallForgotten(nexts);
    return [...nexts].map(([state, next]) => ({ ...state.where, next: next ?? nextOf(state) }));
  }

  /** Of a partition that was forgotten meanwhile, as after a crash that took commits back, what was found before is no longer true. */
  async function recallForgotten(nexts: Map<PartitionState, Next['next'] | undefined>): Promise<void> {
    const forgotten = () => [...nexts.keys()].filter(({ stopped, checkpoint }) => stopped === undefined && !checkpoint);
    for (let states = forgotten(); states.length > 0; states = forgotten()) {
      for (const state of states) nexts.set(state, await recall(state));
    }
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

  function nextOf({ stopped, checkpoint }: PartitionState): number | 'stopped' {
    return stopped === undefined && checkpoint ? checkpoint.next : 'stopped';
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
