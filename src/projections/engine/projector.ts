import type { Faults } from '../../faults.ts';
import type { DeliveryContext, Next, Slice, SubscriptionHandler } from '../../log/event-log.ts';
import { createApplier, type ProjectorObserver } from './apply.ts';
import type { Rule } from '../../event-store/arbitrate.ts';
import { ProjectorAssignment, type AssignmentOptions } from './assignment.ts';
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
  Pick<ProjectorAssignment, 'stopped' | 'positions' | 'retryStopped' | 'compareEnds'> & {
    /** Resolves when the observer was notified of every commit. */
    notified(): Promise<void>;
  };

/**
 * Reads the log in order, accepts or rejects every record by the rule, and writes what follows with the checkpoint in one
 * transaction. Any number of projectors may run on the same partition, also old ones that were taken for dead: only one
 * that still knows the stored checkpoint can write.
 */
export function createProjector(options: ProjectorOptions): Projector {
  const { store, observer, rule, faults = {} } = options;
  const assignment = new ProjectorAssignment(options);
  const { apply, notified } = createApplier({
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
    const batches: PartitionBatch[] = [];
    const nexts: NextByState = new Map();
    for (const slice of slices) {
      const state = assignment.stateOf(slice);
      const prepared = await prepare(assignment, state, slice);
      if (typeof prepared === 'object') batches.push(prepared);
      nexts.set(state, typeof prepared === 'object' ? undefined : prepared);
    }
    if (batches.length > 0) await apply(batches, context);
    await recallForgotten(assignment, nexts);
    return [...nexts].map(([state, next]) => ({ ...state.where, next: next ?? nextOf(state) }));
  }

  return {
    deliver,
    notified,
    assigned: (partitions) => assignment.assigned(partitions),
    stopped: () => assignment.stopped(),
    positions: () => assignment.positions(),
    retryStopped: () => assignment.retryStopped(),
    compareEnds: (ends) => assignment.compareEnds(ends),
  };
}

/** The next offset of each partition; undefined while it is the one after its batch. */
type NextByState = Map<PartitionState, Next['next'] | undefined>;

/** Reads the checkpoint again of partitions that were forgotten meanwhile, as after a crash that undid commits. */
async function recallForgotten(assignment: ProjectorAssignment, nexts: NextByState): Promise<void> {
  const forgotten = () => [...nexts.keys()].filter(({ stopped, checkpoint }) => stopped === undefined && !checkpoint);
  for (let states = forgotten(); states.length > 0; states = forgotten()) {
    for (const state of states) nexts.set(state, await assignment.recall(state));
  }
}

/** Returns the slice as a batch, or the offset to go on at when it cannot be applied as it is. */
async function prepare(
  assignment: ProjectorAssignment,
  state: PartitionState,
  slice: Slice,
): Promise<PartitionBatch | number | 'stopped'> {
  if (state.stopped !== undefined) return 'stopped';
  if (!state.checkpoint) return assignment.recall(state);
  const approach = state.approach(state.checkpoint, slice.records);
  switch (approach.kind) {
    case 'continue':
      // Possibly no later record comes that would clear the stored reason.
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

function nextOf({ stopped, checkpoint }: PartitionState): number | 'stopped' {
  return stopped === undefined && checkpoint ? checkpoint.next : 'stopped';
}
