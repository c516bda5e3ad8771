import { partitionKey, type Position, type TopicPartition } from '../../events/record.ts';
import type { VoidTest } from '../../log/voids.ts';
import type { ProjectorObserver } from './apply.ts';
import type { LogRules } from '../../event-store/arbitrate.ts';
import { PartitionState } from '../../event-store/partition-state.ts';
import type { ProjectionStore } from './store.ts';

export interface AssignmentOptions {
  readonly store: Pick<ProjectionStore, 'checkpoints' | 'noteStopped'>;
  readonly belongs: LogRules['belongs'];
  readonly ownership?: LogRules['ownership'];
  /** Reads which offsets are void. It is called when partitions are assigned or resumed. */
  readonly voids: () => Promise<VoidTest>;
  readonly ends: (partitions: readonly TopicPartition[]) => Promise<Position[]>;
  readonly observer: Pick<ProjectorObserver, 'stopped'>;
  /** How many heads of streams each partition keeps in memory. */
  readonly headsRemembered?: number;
}

const HEADS_REMEMBERED = 20_000;

/** The partitions that are assigned to a projector: each of them begins, stops and goes on here. */
export class ProjectorAssignment {
  readonly #options: AssignmentOptions;
  #states = new Map<string, PartitionState>();
  #rules: LogRules;

  constructor(options: AssignmentOptions) {
    this.#options = options;
    this.#rules = this.#rulesWith(() => false);
  }

  get rules(): LogRules {
    return this.#rules;
  }

  /** Replaces all partitions by these. Returns the position that each is read from. */
  async assigned(partitions: readonly TopicPartition[]): Promise<Position[]> {
    const { headsRemembered = HEADS_REMEMBERED } = this.#options;
    this.#states = new Map(
      partitions.map((where) => [partitionKey(where), new PartitionState(where, headsRemembered)]),
    );
    return this.#begin(this.#states);
  }

  /** Throws for a partition that is not assigned. */
  stateOf(where: TopicPartition): PartitionState {
    const state = this.#states.get(partitionKey(where));
    if (!state) throw new Error(`${partitionKey(where)} was delivered to a projector that it is not assigned to.`);
    return state;
  }

  /** Reads the stored checkpoint after a commit that missed or failed, and forgets all heads. Returns the next offset. */
  async recall(state: PartitionState): Promise<number> {
    const [checkpoint] = await this.#options.store.checkpoints([state.where]);
    if (!checkpoint) throw new Error(`Table checkpoints has no row for ${partitionKey(state.where)}.`);
    return state.begin(checkpoint);
  }

  async stop(state: PartitionState, reason: string): Promise<void> {
    const { store, observer } = this.#options;
    state.stopped = reason;
    state.noted = true;
    observer.stopped({ ...state.where, offset: state.checkpoint?.next ?? 0 }, reason);
    await store.noteStopped(state.where, reason).catch(() => undefined); // it is stopped even if the reason is not stored
  }

  /** Clears the stored reason of a partition that goes on. */
  async takeBackNote(state: PartitionState): Promise<void> {
    if (!state.noted) return;
    await this.#options.store.noteStopped(state.where, null);
    state.noted = false;
  }

  /** Partitions that are no longer consumed, and why. */
  stopped(): (TopicPartition & { readonly reason: string })[] {
    return [...this.#states.values()].flatMap(({ where, stopped }) =>
      stopped === undefined ? [] : [{ ...where, reason: stopped }],
    );
  }

  /** The last known next offset of every partition. */
  positions(): Position[] {
    return [...this.#states.values()].flatMap(({ where, position }) =>
      position === undefined ? [] : [{ ...where, offset: position }],
    );
  }

  /**
   * Restarts partitions that would never go on by themselves: stopped ones whose next record was declared void or whose fence
   * an operator's command has moved, and those whose commits a crash of Postgres undid. Returns the position that each is
   * read from.
   */
  async retryStopped(): Promise<Position[]> {
    return [...(await this.#retryFreed()), ...(await this.#retrySetBack())];
  }

  /** Stops partitions whose log ended before the checkpoint twice in a row: the log was truncated or replaced. */
  async compareEnds(ends: readonly Position[]): Promise<void> {
    for (const end of ends) {
      const state = this.#states.get(partitionKey(end));
      if (state?.endsBefore(end.offset)) await this.#stopShort(state, end.offset);
    }
  }

  async #begin(begun: ReadonlyMap<string, PartitionState>): Promise<Position[]> {
    const { store, voids, ends } = this.#options;
    const partitions = [...begun.values()].map(({ where }) => where);
    const [isVoid, checkpoints] = await Promise.all([voids(), store.checkpoints(partitions)]);
    const logEnds = await ends(partitions); // after the checkpoints: another projector may move a checkpoint past an older end
    this.#rules = this.#rulesWith(isVoid);
    const endOf = new Map(logEnds.map((end) => [partitionKey(end), end.offset]));
    const starts = checkpoints.map(async (checkpoint) => {
      const state = begun.get(partitionKey(checkpoint));
      if (!state)
        throw new Error(`The store returned the checkpoint of ${partitionKey(checkpoint)}, which was not requested.`);
      const offset = state.begin(checkpoint);
      const end = endOf.get(partitionKey(checkpoint)) ?? 0;
      if (end < checkpoint.next) await this.#stopShort(state, end);
      else if (checkpoint.next === 0) await this.takeBackNote(state);
      return { ...state.where, offset };
    });
    return Promise.all(starts);
  }

  #rulesWith(isVoid: VoidTest): LogRules {
    const { belongs, ownership } = this.#options;
    return { belongs, isVoid, ownership };
  }

  #stopShort(state: PartitionState, end: number): Promise<void> {
    return this.stop(state, `the log ends at ${end}, before the checkpoint`);
  }

  async #retryFreed(): Promise<Position[]> {
    const { store, voids } = this.#options;
    const stopped = [...this.#states].filter(([, state]) => state.stopped !== undefined);
    if (stopped.length === 0) return [];
    const [isVoid, stored] = await Promise.all([voids(), store.checkpoints(stopped.map(([, { where }]) => where))]);
    const fences = new Map(stored.map((each) => [partitionKey(each), each.fence]));
    const freed = stopped.filter(
      ([key, { where, checkpoint }]) =>
        isVoid({ ...where, offset: checkpoint?.next ?? 0 }) || (checkpoint && fences.get(key) !== checkpoint.fence),
    );
    return freed.length > 0 ? this.#begin(new Map(freed)) : [];
  }

  /** A crash of Postgres can undo commits while nothing is delivered: no commit misses, and readers would wait for ever. */
  async #retrySetBack(): Promise<Position[]> {
    const running = [...this.#states.values()].filter(({ stopped }) => stopped === undefined);
    const known = new Map(running.map(({ where, checkpoint }) => [partitionKey(where), checkpoint]));
    const stored = await this.#options.store.checkpoints(running.map(({ where }) => where));
    return stored.flatMap(({ topic, partition, next }) => {
      const state = this.#states.get(partitionKey({ topic, partition })); // of a later assignment perhaps; undefined when it was taken away
      const checkpoint = known.get(partitionKey({ topic, partition }));
      if (!state || !checkpoint || state.checkpoint !== checkpoint || checkpoint.next <= next) return [];
      state.forget();
      return [{ topic, partition, offset: next }];
    });
  }
}
