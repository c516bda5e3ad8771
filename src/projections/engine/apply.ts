import type { Position, StoredRecord } from '../../events/record.ts';
import type { Faults } from '../../faults.ts';
import type { CommitNotice } from '../../events/commit-notice.ts';
import type { LogEntry } from '../../log/entry.ts';
import type { DeliveryContext } from '../../log/event-log.ts';
import {
  createJudge,
  bisect,
  type Judged,
  type JudgeOptions,
  poisoned,
  remainingBatch,
  type PartitionBatch,
} from '../../event-store/judge.ts';
import { type Commit, type CommitOutcome, Poison, type ProjectionStore } from './store.ts';
import type { Accepted } from '../../event-store/judgement.ts';

/** Is notified of what happened after its commit. */
export interface ProjectorObserver {
  committed(commit: Commit, notice: CommitNotice): void;
  lost(record: LogEntry, reason: string, alarm: boolean): void;
  quarantined(record: StoredRecord, reason: string): void;
  stopped(position: Position, reason: string): void;
}

interface ApplierOptions extends JudgeOptions {
  readonly store: Pick<ProjectionStore, 'heads' | 'commit'>;
  readonly observer: Pick<ProjectorObserver, 'committed' | 'lost' | 'quarantined'>;
  readonly faults: Faults;
}

interface Applier {
  apply(batches: readonly PartitionBatch[], context: DeliveryContext): Promise<void>;
  /** Resolves when the observer was notified of every commit. */
  notified(): Promise<void>;
}

/** Arbitrates records and commits what follows. Afterwards a state remembers only what is certainly committed. */
export function createApplier({ store, observer, faults, ...judging }: ApplierOptions): Applier {
  const judge = createJudge({ store, ...judging });
  const notifications = createPending();

  /**
   * Applies all batches in one transaction. When Postgres refuses a row, halves them until the refused record is alone.
   * `assumeNew` is the judge's: a stream whose first claim says so is taken for new, which saves reading its head.
   */
  async function apply(batches: readonly PartitionBatch[], context: DeliveryContext, assumeNew = true): Promise<void> {
    const judged = await judge(batches, assumeNew);
    if (judged.length === 0) return;
    try {
      const outcome = await commit(judged);
      if (outcome !== 'not-new') return;
      if (assumeNew) await apply(batchesOf(judged), context, false);
      else forget(judged);
    } catch (error) {
      if (!(error instanceof Poison)) throw error;
      await context.heartbeat();
      await isolate(batchesOf(judged), error, context);
    }
  }

  async function isolate(batches: readonly PartitionBatch[], error: Poison, context: DeliveryContext): Promise<void> {
    if (batches.length === 1 && batches[0]?.records.length === 1) {
      const judged = await judge(batches, false);
      if (judged.length > 0) await commit(judged.map((only) => poisoned(only, error.message)));
      return;
    }
    for (const half of bisect(batches)) {
      const next = half.flatMap((batch) => remainingBatch(batch));
      if (next.length > 0) await apply(next, context);
    }
  }

  async function commit(judged: readonly Judged[]): Promise<CommitOutcome> {
    const moves = judged.map(({ batch, to }) => ({ ...batch.state.where, from: batch.from, to }));
    const accepted = judged.flatMap((each) => each.accepted);
    faults['before-commit']?.();
    const outcome = await store.commit({ moves, accepted }).catch((error: unknown) => {
      if (!(error instanceof Poison)) forget(judged);
      throw error;
    });
    if (outcome === 'missed') forget(judged);
    if (typeof outcome === 'string') return outcome;
    for (const { batch, to, heads } of judged) batch.state.moved(to, heads);
    faults['after-commit']?.();
    const notifyAll = () => notify(observer, judged, { moves, accepted }, outcome.onlyServing);
    if (outcome.unmarked) notifications.add(outcome.unmarked.then(notifyAll));
    else notifyAll();
    return outcome;
  }

  return { apply, notified: notifications.settled };
}

function createPending() {
  const pending = new Set<Promise<void>>();
  return {
    add(work: Promise<void>): void {
      pending.add(work);
      void work.finally(() => pending.delete(work));
    },
    async settled(): Promise<void> {
      await Promise.all(pending);
    },
  };
}

function notify(
  observer: ApplierOptions['observer'],
  judged: readonly Judged[],
  commit: Commit,
  onlyServing: boolean,
): void {
  const losers = judged.flatMap((each) => each.losers);
  for (const { record, reason, alarm } of losers) observer.lost(record, reason, alarm);
  for (const { record, payload } of commit.accepted) {
    if (typeof payload === 'object' && 'poison' in payload) observer.quarantined(record, payload.poison);
  }
  const won = commit.accepted.flatMap(({ envelope, payload }) => (isApplied(payload) ? [envelope.id] : []));
  const recheck = !onlyServing || losers.length > 0 || won.length < commit.accepted.length;
  observer.committed(commit, { won: onlyServing ? won : [], recheck });
}

const batchesOf = (judged: readonly Judged[]) => judged.map(({ batch }) => batch);

function forget(judged: readonly Judged[]): void {
  for (const { batch } of judged) batch.state.forget();
}

const isApplied = (payload: Accepted['payload']) => typeof payload === 'object' && 'event' in payload;
