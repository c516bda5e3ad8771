import type { Position, StoredRecord } from '../events/record.ts';
import type { Faults } from '../faults.ts';
import type { Word } from '../events/word.ts';
import type { LogEntry } from '../log/entry.ts';
import type { DeliveryContext } from '../log/event-log.ts';
import { createJudge, halves, type Judged, type JudgeOptions, poisoned, stillNext, type Work } from './judge.ts';
import { type Accepted, type Commit, type CommitOutcome, Poison, type ProjectionStore } from './store.ts';

/** Hears what happened, after it was committed. */
export interface ProjectorObserver {
  committed(commit: Commit, word: Word): void;
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
  apply(works: readonly Work[], context: DeliveryContext): Promise<void>;
  /** Resolves when everything that was committed is told. */
  told(): Promise<void>;
}

/** Arbitrates records and commits what follows. What a state remembers afterwards is true, or it has forgotten. */
export function createApplier({ store, observer, faults, ...judging }: ApplierOptions): Applier {
  const judge = createJudge({ store, ...judging });
  const untold = new Set<Promise<void>>();

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
    const look = !sole || losers.length > 0 || won.length < commit.accepted.length;
    observer.committed(commit, { won: sole ? won : [], look });
  }

  return {
    apply,
    async told() {
      await Promise.all(untold);
    },
  };
}

const worksOf = (judged: readonly Judged[]) => judged.map(({ work }) => work);

function forget(judged: readonly Judged[]): void {
  for (const { work } of judged) work.state.forget();
}

const isApplied = (payload: Accepted['payload']) => typeof payload === 'object' && 'event' in payload;
