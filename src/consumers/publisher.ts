import type { Logger } from 'pino';
import { poll } from '../concurrency/poll.ts';
import { throttled } from '../concurrency/throttle.ts';
import { reasonOf } from '../errors.ts';
import type { Faults } from '../faults.ts';
import { partitionKey } from '../events/record.ts';
import type { Stoppable } from '../lifecycle.ts';
import type { EventLog } from '../log/event-log.ts';
import { type ConsumerHealth, type Consumers, lagOf } from '../projections/engine/consumers.ts';
import { LagWatch } from '../projections/engine/lag.ts';
import { Publishing, type PublishingOptions } from './publishing.ts';

export interface PublisherOptions extends PublishingOptions {
  readonly log: EventLog;
  readonly logger: Logger;
  readonly consumers: Consumers;
  readonly faults: Faults;
  /** Called when the group was left for good: the process should end. */
  readonly onCrash: (error: Error) => void;
}

export interface Publisher extends Stoppable {
  health(): { readonly caughtUp: boolean; readonly lag: number };
}

/** Events of this time are published together, which costs less than one append for each commit. */
const EVERY_MS = 100;
const MEASURE_EVERY_MS = 1_000;
/** Records that may wait when the publisher is said to be ready: under load there are always some. */
const FEW = 5_000;

/**
 * Joins the group `publisher`, which publishes the accepted events. The group only shares out the partitions: the events are read from
 * the index that the projector keeps, so that only one place judges.
 */
export async function startPublisher(options: PublisherOptions): Promise<Publisher> {
  const { log, placement, logger, consumers, onCrash, faults } = options;
  const group = `${placement.namespace}.publisher`;
  const append: EventLog['append'] = async (batch) => {
    faults['before-publish']?.();
    await log.append(batch);
    faults['after-publish']?.();
  };
  const publishing = new Publishing({ ...options, log: { ...log, append } });
  const subscription = await log.subscribe({
    group,
    topics: placement.topics,
    onCrash,
    handler: {
      assigned(partitions) {
        publishing.assign(partitions);
        return Promise.resolve([]); // nothing is fetched
      },
      deliver: (slices) => Promise.resolve(slices.map((slice) => ({ ...slice, next: 'stopped' as const }))),
    },
  });
  const warn = throttled((message) => logger.warn({ group }, message));
  const running = poll((signal) => publishAll(publishing, signal), {
    everyMs: EVERY_MS,
    onFailure: (error) => warn(`events were not published and are tried again: ${reasonOf(error)}`),
  });
  const lag = watchLag(options, publishing);
  const health = () => ({ group, ...lag.health() });
  const hide = consumers.add(health);
  return {
    health: () => ({ caughtUp: health().caughtUp, lag: lagOf(health()) }),
    async stop() {
      hide();
      await running.stop();
      await lag.stop();
      await subscription.stop();
    },
  };
}

async function publishAll(publishing: Publishing, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && (await publishing.round()));
}

/** Measures how far this member's partitions are published. Those of other members are shown by them. */
function watchLag({ log, placement, consumers }: PublisherOptions, publishing: Publishing) {
  const watch = new LagWatch(placement.all, consumers.lagAlarmMs);
  let own = new Set<string>();
  let caughtUp = false;
  const measuring = poll(
    async () => {
      const positions = publishing.positions();
      own = new Set(positions.map(partitionKey));
      watch.measure(
        positions.map(({ offset, ...where }) => ({ ...where, next: offset, stopped: null })),
        await log.ends(positions),
      );
      caughtUp ||= lagOf({ partitions: ownHealth() }) < FEW;
    },
    { everyMs: MEASURE_EVERY_MS, onFailure: () => undefined },
  );
  const ownHealth = () => watch.health().filter(({ partition }) => own.has(partition));
  return {
    health(): Omit<ConsumerHealth, 'group'> {
      const partitions = ownHealth();
      return { caughtUp, stopped: [], stuckMs: Math.max(0, ...partitions.map(({ stuckMs }) => stuckMs)), partitions };
    },
    stop: () => measuring.stop(),
  };
}
