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

/** Hears what happened, after it was committed. */
export interface ProjectorObserver {
  committed(commit: Commit, word: CommitNotice): void;
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
  /** Resolves when everything that was committed is told. */
  told(): Promise<void>;
}

/** Arbitrates records and commits what follows. What a state remembers afterwards is true, or it has forgotten. */
export function createApplier({ store, observer, faults, ...judging }: ApplierOptions): Applier {
  const judge = createJudge({ store, ...judging });
  const untold = new Set<Promise<void>>();

  /** Applies all batches in one transaction; halves them when Postgres refuses a row, until the one that is refused stands alone. */
  async function apply(batches: readonly PartitionBatch[], context: DeliveryContext, trust = true): Promise<void> {
    const judged = await judge(batches, trust);
    if (judged.length === 0) return;
    try {
      const outcome = await commit(judged);
      if (outcome !== 'not-new') return;
      if (trust) await apply(batchesOf(judged), context, false);
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
    const telling = () => tell(judged, { moves, accepted }, outcome.sole);
    if (outcome.unmarked) track(outcome.unmarked.then(telling));
    else telling();
    return outcome;
  }

  function track(later: Promise<void>): void {
    untold.add(later);
    void later.finally(() => untold.delete(later));
  }

  function tell(judged: readonly Judged[], commit: Commit, sole: boolean): void {
    const losers = judged.flatMap((each) => each.losers);
    for (const { record, reason, alarm } of losers) observer.lost(record, reason, alarm);
    for (const { record, payload } of commit.accepted) {
      if (typeof payload === 'object' && 'poison' in payload) observer.quarantined(record, payload.poison);
    }
    const won = commit.accepted.flatMap(({ envelope, payload }) => (isApplied(payload) ? [envelope.id] : []));
    const recheck = !sole || losers.length > 0 || won.length < commit.accepted.length;
    observer.committed(commit, { won: sole ? won : [], recheck });
  }

  return {
    apply,
    async told() {
      await Promise.all(untold);
    },
  };
}

const batchesOf = (judged: readonly Judged[]) => judged.map(({ batch }) => batch);

function forget(judged: readonly Judged[]): void {
  for (const { batch } of judged) batch.state.forget();
}

const isApplied = (payload: Accepted['payload']) => typeof payload === 'object' && 'event' in payload;
