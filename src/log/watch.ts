import { reasonOf } from '../errors.ts';
import type { Placement } from '../events/placement.ts';
import { sleep } from '../concurrency/sleep.ts';
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
  /** Who looks, at a broker's log. */
  readonly visitor?: Visitor;
  readonly everyMs: number;
  /** Called with what is wrong, whenever that changes and now and then while it lasts; empty when nothing is any more. */
  readonly onAlarms: (alarms: readonly string[]) => void;
  /** A look that failed: the alarms of the one before stand. */
  readonly onFailure: (reason: string) => void;
  /** Notes in the database that the log has another owner by now, where no consumer of this process would. */
  readonly noteLoss?: (() => Promise<void>) | undefined;
  /** This database may not use the log any more as it does: the process should end. */
  readonly onRefusal?: (reason: string) => void;
}

export interface LogWatch extends Stoppable {
  /** What is wrong with the log, as of the last look. */
  alarms(): readonly string[];
}

const SAY_AGAIN_MS = 600_000;
/** Whether the database still owns the log is one small query: a process that consumes nothing learns it in no other way. */
const OWNER_EVERY_MS = 2_000;

/** Repeats the check of the start while the process runs: others can change topics at any time. */
export function watchLog(options: LogWatchOptions): LogWatch {
  const { log, placement, database, visitor, everyMs, onAlarms, onFailure } = options;
  const stopping = new AbortController();
  let alarms: readonly string[] = [];
  let saidAt = 0;
  const durability: boolean[] = [];
  let seenBefore = new Set<string>();

  async function lookAtOwner(): Promise<LogIdentity | undefined> {
    const identity = await readIdentity(database);
    const refusal = visitor && identity && refusalOf(visitor, identity, undefined);
    if (refusal !== undefined) options.onRefusal?.(refusal);
    return identity;
  }

  async function look(): Promise<void> {
    await options.noteLoss?.();
    const identity = await lookAtOwner();
    const review = await reviewLog(log, placement, identity, visitor);
    const found = [...review.refusals, ...review.alarms];
    found.push(...(await lostVoids()), ...(await lostDurability()), ...(await strangers()));
    const isChanged = found.join('\n') !== alarms.join('\n');
    alarms = found;
    if (!isChanged && (found.length === 0 || Date.now() - saidAt < SAY_AGAIN_MS)) return;
    saidAt = Date.now();
    onAlarms(found);
  }

  async function lostVoids(): Promise<string[]> {
    const { namespace } = placement;
    return unpublishedAlarms(namespace, await readVoids({ log, namespace, database }));
  }

  /**
   * Projections commit asynchronously because appends were durable at the start. It must be seen twice: a broker that does not
   * answer counts as not durable too.
   */
  async function lostDurability(): Promise<string[]> {
    const { durable, why } = await log.durability(placement.topics);
    const isLost = durability[0] === true && durability.at(-1) === false && !durable;
    durability.push(durable);
    if (durability.length > 2) durability.splice(1, 1);
    return isLost ? [`appends were durable at the start and are not any more: ${why}`] : [];
  }

  /** It must be seen twice: after a start of Postgres our own processes take a moment to register again. */
  async function strangers(): Promise<string[]> {
    const found = (await strangeMembers(database, log)).map(strangerAlarm);
    const lasting = found.filter((each) => seenBefore.has(each));
    seenBefore = new Set(found);
    return lasting;
  }

  const watching = (async () => {
    for (let dueAt = 0; !stopping.signal.aborted;) {
      const isDue = Date.now() >= dueAt;
      if (isDue) dueAt = Date.now() + everyMs;
      if (isDue) await look().catch((error: unknown) => onFailure(reasonOf(error)));
      else await lookAtOwner().catch(() => undefined); // the next look reports it
      await sleep(visitor ? Math.min(everyMs, OWNER_EVERY_MS) : everyMs, stopping.signal);
    }
  })();
  return {
    alarms: () => alarms,
    async stop() {
      stopping.abort();
      await watching;
    },
  };
}
