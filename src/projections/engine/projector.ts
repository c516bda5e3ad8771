import type { Faults } from '../../faults.ts';
import type { DeliveryContext, Next, Slice, SubscriptionHandler } from '../../log/event-log.ts';
import { createApplier, type ProjectorObserver } from './apply.ts';
import type { Rule } from '../../event-store/arbitrate.ts';
import { Assignment, type AssignmentOptions } from './assignment.ts';
import type { PartitionBatch } from '../../event-store/judge.ts';
import type { PartitionState } from '../../event-store/partition-state.ts';
import type { ProjectionStore } from './store.ts';

export interface ProjectorOptions extends AssignmentOptions {
  readonly store: ProjectionStore;
  readonly observer: ProjectorObserver;
  readonly faults?: Faults;
  /** See `JudgeOptions`. */
  readonly rule?: Rule;
}

export type Projector = SubscriptionHandler &
  Pick<Assignment, 'stopped' | 'positions' | 'retryStopped' | 'compareEnds'> & {
    /** Resolves when the observer has heard of everything that was committed. */
    told(): Promise<void>;
  };

/**
 * Reads the log in order, accepts or rejects every record by the rule, and writes what follows with the checkpoint in one
 * transaction. Any number of projectors may run on the same partition, old ones that were thought dead included: only the
 * one whose checkpoint is still true can write.
 */
export function createProjector(options: ProjectorOptions): Projector {
  const { store, observer, rule, faults = {} } = options;
  const assignment = new Assignment(options);
  const { apply, told } = createApplier({
    store,
    observer,
    faults,
    rule,
    rules: () => assignment.rules,
    stop: (state, reason) => assignment.stop(state, reason),
  });

  async function deliver(slices: readonly Slice[], context: DeliveryContext): Promise<Next[]> {
    try {
      return await handle(slices, context);
    } catch (error) {
      for (const slice of slices) assignment.stateOf(slice).forgetRequest();
      throw error;
    }
  }

  async function handle(slices: readonly Slice[], context: DeliveryContext): Promise<Next[]> {
    const works: PartitionBatch[] = [];
    const nexts = new Map<PartitionState, Next['next'] | undefined>();
    for (const slice of slices) {
      const state = assignment.stateOf(slice);
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
      for (const state of states) nexts.set(state, await assignment.recall(state));
    }
  }

  /** The slice as work, or the offset to go on at when it cannot be applied as it is. */
  async function prepare(state: PartitionState, slice: Slice): Promise<PartitionBatch | number | 'stopped'> {
    if (state.stopped !== undefined) return 'stopped';
    if (!state.checkpoint) return assignment.recall(state);
    const approach = state.approach(state.checkpoint, slice.records);
    switch (approach.kind) {
      case 'continue':
        // Nothing may follow that would do it.
        if (approach.next === state.checkpoint.next) await assignment.takeBackNote(state);
        return approach.next;
      case 'stop':
        await assignment.stop(state, approach.reason);
        return 'stopped';
      case 'apply':
        await assignment.takeBackNote(state);
        return { state, from: state.checkpoint, records: approach.records };
    }
  }

  return {
    deliver,
    told,
    assigned: (partitions) => assignment.assigned(partitions),
    stopped: () => assignment.stopped(),
    positions: () => assignment.positions(),
    retryStopped: () => assignment.retryStopped(),
    compareEnds: (ends) => assignment.compareEnds(ends),
  };
}

function nextOf({ stopped, checkpoint }: PartitionState): number | 'stopped' {
  return stopped === undefined && checkpoint ? checkpoint.next : 'stopped';
}
