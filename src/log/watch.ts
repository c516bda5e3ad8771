import { reasonOf } from '../errors.ts';
import type { Placement } from '../events/placement.ts';
import { poll } from '../concurrency/poll.ts';
import type { Stoppable } from '../lifecycle.ts';
import { strangeMembers, strangerAlarm } from './clients.ts';
import type { EventLog } from './event-log.ts';
import { type LogIdentity, type Queries, readIdentity } from './identity.ts';
import { refusalOf, type Visitor } from './ownership.ts';
import { reviewLog } from './topics.ts';
import { readVoids, unpublishedAlarms } from './void-topic.ts';

export interface LogWatchOptions {
  readonly log: EventLog;
  readonly placement: Placement;
  readonly database: Queries;
  /** The database that uses the log, for a broker's log. */
  readonly visitor?: Visitor;
  readonly everyMs: number;
  /** Called when the alarms change, and every ten minutes while there are any. Empty when all is well again. */
  readonly onAlarms: (alarms: readonly string[]) => void;
  /** Called when a check failed. The alarms of the check before remain. */
  readonly onFailure: (reason: string) => void;
  /** Notes in the database that the log has another owner, for a process without a consumer that would do it. */
  readonly noteLoss?: (() => Promise<void>) | undefined;
  /** Called when this database may no longer use the log in this way. The process should end. */
  readonly onRefusal?: (reason: string) => void;
}

export interface LogWatch extends Stoppable {
  /** What was wrong with the log at the last check. */
  alarms(): readonly string[];
}

const REPEAT_MS = 600_000;
/** Whether the database still owns the log is one small query. A process that consumes nothing has no other way to find out. */
const OWNER_EVERY_MS = 2_000;

/** Repeats the check of the start while the process runs, because others can change topics at any time. */
export function watchLog(options: LogWatchOptions): LogWatch {
  const { log, placement, database, visitor, everyMs, onFailure } = options;
  const checks = [() => unpublishedVoids(options), durabilityCheck(options), strangerCheck(options)];
  const publish = alarmPublisher(options.onAlarms);
  let alarms: readonly string[] = [];
  let dueAt = 0;

  async function checkOwner(): Promise<LogIdentity | undefined> {
    const identity = await readIdentity(database);
    const refusal = visitor && identity && refusalOf(visitor, identity, undefined);
    if (refusal !== undefined) options.onRefusal?.(refusal);
    return identity;
  }

  async function checkAll(): Promise<void> {
    await options.noteLoss?.();
    const review = await reviewLog(log, placement, await checkOwner(), visitor);
    const found = [...review.refusals, ...review.alarms];
    for (const check of checks) found.push(...(await check()));
    alarms = found;
    publish(found);
  }

  /** The owner is checked more often. A failure of that alone is reported by the next full check. */
  async function check(): Promise<void> {
    if (Date.now() < dueAt) {
      await checkOwner().catch(() => undefined);
      return;
    }
    dueAt = Date.now() + everyMs;
    await checkAll();
  }

  const watching = poll(check, {
    everyMs: visitor ? Math.min(everyMs, OWNER_EVERY_MS) : everyMs,
    onFailure: (error) => onFailure(reasonOf(error)),
  });
  return { alarms: () => alarms, stop: () => watching.stop() };
}

/** Publishes alarms when they change, and again after ten minutes while there are any. */
function alarmPublisher(onAlarms: LogWatchOptions['onAlarms']): (alarms: readonly string[]) => void {
  let last = '';
  let publishedAt = 0;
  return (alarms) => {
    const text = alarms.join('\n');
    if (text === last && (text === '' || Date.now() - publishedAt < REPEAT_MS)) return;
    [last, publishedAt] = [text, Date.now()];
    onAlarms(alarms);
  };
}

async function unpublishedVoids({ log, placement: { namespace }, database }: LogWatchOptions): Promise<string[]> {
  return unpublishedAlarms(namespace, await readVoids({ log, namespace, database }));
}

/**
 * Projections commit asynchronously if appends were durable at the start. The loss must be seen twice, because a broker that does
 * not answer counts as not durable too.
 */
function durabilityCheck({ log, placement }: LogWatchOptions): () => Promise<string[]> {
  let atStart: boolean | undefined;
  let before: boolean | undefined;
  return async () => {
    const { durable, why } = await log.durability(placement.topics);
    const isLost = atStart === true && before === false && !durable;
    atStart ??= durable;
    before = durable;
    return isLost ? [`appends were durable at the start and are not any more: ${why}`] : [];
  };
}

/** A stranger must be seen twice, because after a start of Postgres our own processes take a moment to register again. */
function strangerCheck({ log, database }: LogWatchOptions): () => Promise<string[]> {
  let before = new Set<string>();
  return async () => {
    const found = (await strangeMembers(database, log)).map(strangerAlarm);
    const lasting = found.filter((each) => before.has(each));
    before = new Set(found);
    return lasting;
  };
}
