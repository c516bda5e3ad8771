import type { Logger } from 'pino';
import { reasonOf } from '../../errors.ts';
import { partitionKey, type Position, showPosition, type TopicPartition } from '../../events/record.ts';
import { poll } from '../../concurrency/poll.ts';
import type { Stoppable } from '../../lifecycle.ts';
import type { EventLog, RunningSubscription, SubscriptionHandler } from '../../log/event-log.ts';
import type { Database } from '../../postgres/pool.ts';
import { throttled } from '../../concurrency/throttle.ts';
import type { ProjectorObserver } from './apply.ts';
import type { ConsumerHealth, Consumers } from './consumers.ts';
import { hasReached } from '../generations/guard.ts';
import { LagWatch, type StoredProgress } from './lag.ts';
import type { Projector } from './projector.ts';

export interface ConsumerOptions {
  readonly group: string;
  readonly topics: readonly string[];
  /** All partitions of these topics, also those of other members of the group. */
  readonly partitions: readonly TopicPartition[];
  readonly log: EventLog;
  readonly logger: Logger;
  /** Finds the group's checkpoints on its search path. */
  readonly database: Database;
  readonly observer: ProjectorObserver;
  readonly projectorOf: (observer: ProjectorObserver) => Projector;
  /** What the log delivers to; the projector itself unless it is given. */
  readonly handlerOf?: (projector: Projector) => SubscriptionHandler;
  /** Called when consuming has ended for good, so that the process can end. */
  readonly onCrash: (error: Error) => void;
  /** Where this consumer is shown while it runs. */
  readonly consumers: Consumers;
}

export interface ProjectorConsumer extends Stoppable {
  health(): ConsumerHealth;
}

const MEASURE_EVERY_MS = 1_000;

/** Starts a member of a consumer group that applies the log by the rule. Metrics and probes show it while it runs. */
export async function startConsumer(options: ConsumerOptions): Promise<ProjectorConsumer> {
  const { group, topics, log, consumers, onCrash } = options;
  const endsAtStart = await log.ends(options.partitions);
  const progress = { at: Date.now() };
  const projector = options.projectorOf(observerOf(options, progress));
  const handler = options.handlerOf?.(projector) ?? projector;
  const subscription = await log.subscribe({ group, topics, handler, onCrash });
  const watch = watchConsumer(options, { projector, subscription, endsAtStart, progress });
  const hide = consumers.add(watch.health);
  return {
    health: watch.health,
    async stop() {
      hide();
      await watch.stop();
      await subscription.stop();
      await projector.notified();
    },
  };
}

function observerOf({ group, logger, observer }: ConsumerOptions, progress: { at: number }): ProjectorObserver {
  return {
    ...observer,
    committed(commit, notice) {
      progress.at = Date.now();
      observer.committed(commit, notice);
    },
    stopped(position, reason) {
      logger.fatal({ group, position: showPosition(position), reason }, 'a partition is no longer consumed');
      observer.stopped(position, reason);
    },
  };
}

interface Watched {
  readonly projector: Projector;
  readonly subscription: RunningSubscription;
  readonly endsAtStart: readonly Position[];
  /** When this member last committed something. */
  readonly progress: { readonly at: number };
}

/** Measures every second how far the group is behind the log, and restarts stopped partitions that can go on. */
function watchConsumer(
  { group, partitions, log, logger, database, consumers }: ConsumerOptions,
  { projector, subscription, endsAtStart, progress }: Watched,
) {
  const lag = new LagWatch(partitions, consumers.lagAlarmMs);
  let caughtUp = false;
  let waitingSince: number | undefined;

  async function measure(): Promise<void> {
    for (const position of await projector.retryStopped()) subscription.resume(position);
    const stored = await readProgress(database);
    const positions = runningPositions(projector);
    const ends = await log.ends(partitions);
    await projector.compareEnds(ends);
    lag.measure(stored, ends);
    waitingSince = isBehind(positions, ends) ? (waitingSince ?? Date.now()) : undefined;
    caughtUp ||= await hasReached(database, endsAtStart);
  }

  const warn = throttled((message) => logger.warn({ group }, message));
  const measuring = poll(measure, {
    everyMs: MEASURE_EVERY_MS,
    onFailure: (error) => warn(`cannot read the lag of the consumer group: ${reasonOf(error)}`),
  });
  return {
    health(): ConsumerHealth {
      const stopped = projector.stopped().map((each) => ({ partition: partitionKey(each), reason: each.reason }));
      const reasons = new Map(stopped.map(({ partition, reason }) => [partition, reason]));
      const all = lag.health().map((each) => ({ ...each, stopped: reasons.get(each.partition) ?? each.stopped }));
      const stuckMs = waitingSince === undefined ? 0 : Date.now() - Math.max(waitingSince, progress.at);
      return { group, caughtUp, stopped, stuckMs, partitions: all };
    },
    stop: () => measuring.stop(),
  };
}

/** The checkpoints of all partitions in the schema that is first on the search path. */
export const readProgress = (database: Pick<Database, 'query'>): Promise<StoredProgress[]> =>
  database.query<StoredProgress>({
    text: 'SELECT topic, partition, next, stopped FROM checkpoints',
  });

/** The positions of this member without stopped partitions: records that wait there do not show whether it makes progress. */
function runningPositions(projector: Projector): Position[] {
  const stopped = new Set(projector.stopped().map(partitionKey));
  return projector.positions().filter((position) => !stopped.has(partitionKey(position)));
}

function isBehind(positions: readonly Position[], ends: readonly Position[]): boolean {
  const endOf = new Map(ends.map((end) => [partitionKey(end), end.offset]));
  return positions.some((each) => each.offset < (endOf.get(partitionKey(each)) ?? 0));
}
