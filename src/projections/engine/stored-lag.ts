import { poll } from '../../concurrency/poll.ts';
import type { Stoppable } from '../../lifecycle.ts';
import type { TopicPartition } from '../../events/record.ts';
import type { EventLog } from '../../log/event-log.ts';
import type { Consumers } from './consumers.ts';
import { LagWatch, type PartitionHealth, type StoredProgress } from './lag.ts';

export interface StoredLagOptions {
  /** The name of the group in metrics; undefined while there are no checkpoints. */
  readonly group: () => string | undefined;
  readonly partitions: readonly TopicPartition[];
  /** Reads the checkpoints of the group. */
  readonly progress: () => Promise<StoredProgress[]>;
  readonly log: Pick<EventLog, 'ends'>;
  readonly consumers: Consumers;
  /** Whether a member of the group runs in this process; it shows the same by itself. */
  readonly besideMember: boolean;
}

export interface StoredLag extends Stoppable {
  /** Measures the lag now. */
  measure(): Promise<PartitionHealth[]>;
}

const MEASURE_EVERY_MAX_MS = 5_000;
const MEASUREMENTS_PER_ALARM = 3;

/** Watches by its checkpoints how far a group is behind the log, because its members may be frozen, dead, or serve another database. */
export function watchStoredLag(options: StoredLagOptions): StoredLag {
  const { group, partitions, progress, log, consumers, besideMember } = options;
  const lag = new LagWatch(partitions, consumers.lagAlarmMs);

  async function measure(): Promise<PartitionHealth[]> {
    const stored = await progress();
    lag.measure(stored, await log.ends(partitions));
    return lag.health();
  }

  function observed() {
    const name = group();
    return name === undefined ? undefined : { group: name, partitions: lag.health() };
  }

  const everyMs = Math.min(MEASURE_EVERY_MAX_MS, consumers.lagAlarmMs / MEASUREMENTS_PER_ALARM);
  // The probes of Postgres, the log and the reads report a failure.
  const measuring = poll(measure, { everyMs, onFailure: () => undefined });
  const hide = besideMember ? undefined : consumers.observe(observed);
  return {
    measure,
    async stop() {
      hide?.();
      await measuring.stop();
    },
  };
}
