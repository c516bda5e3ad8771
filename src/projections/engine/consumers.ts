import { Gauge, type Registry } from 'prom-client';
import type { PartitionHealth } from './lag.ts';

/** The health of one consumer group, as one of its members sees it. */
export interface ConsumerHealth {
  readonly group: string;
  /** Everything that was in the log when this member started is applied. */
  readonly caughtUp: boolean;
  /** Partitions of this member that it no longer consumes. */
  readonly stopped: readonly { readonly partition: string; readonly reason: string }[];
  /** Milliseconds since records began to wait in partitions of this member without any being applied; 0 when none wait. */
  readonly stuckMs: number;
  /** All partitions of the group, also those of other members. */
  readonly partitions: readonly PartitionHealth[];
}

/** Records that wait in all partitions of the group. */
export const lagOf = ({ partitions }: Pick<ConsumerHealth, 'partitions'>): number =>
  partitions.reduce((sum, { lag }) => sum + lag, 0);

/** A group of which this process sees only the checkpoints; undefined while there are none. */
type Observed = () => Pick<ConsumerHealth, 'group' | 'partitions'> | undefined;

/** Every consumer of the log that runs in this process. Metrics and probes show them. */
export class Consumers {
  readonly #own = new Set<() => ConsumerHealth>();
  readonly #observed = new Set<Observed>();
  /** Milliseconds after which a lag that has not shrunk is an alarm. */
  readonly lagAlarmMs: number;

  constructor(registry: Registry, lagAlarmMs: number) {
    this.lagAlarmMs = lagAlarmMs;
    for (const metric of METRICS) addGauge(registry, metric, () => this.#measured());
  }

  /** Shows a consumer of this process until the returned function is called. */
  add(consumer: () => ConsumerHealth): () => void {
    this.#own.add(consumer);
    return () => void this.#own.delete(consumer);
  }

  /** Measures a group that other processes consume for, until the returned function is called. */
  observe(group: Observed): () => void {
    this.#observed.add(group);
    return () => void this.#observed.delete(group);
  }

  /** The consumers of this process. */
  health(): ConsumerHealth[] {
    return [...this.#own].map((consumer) => consumer());
  }

  #measured(): Pick<ConsumerHealth, 'group' | 'partitions'>[] {
    return [...this.health(), ...[...this.#observed].flatMap((observed) => observed() ?? [])];
  }
}

interface Metric {
  readonly name: string;
  readonly help: string;
  readonly value: (partition: PartitionHealth) => number;
}

/** Each has the labels group and partition. Reasons are only in the probes and in the log, because they hold offsets. */
const METRICS: readonly Metric[] = [
  {
    name: 'openmusic_partition_stopped',
    help: '1 for a partition that is not consumed until an operator has looked at it.',
    value: ({ stopped }) => Number(stopped !== undefined),
  },
  {
    name: 'openmusic_consumer_lag_records',
    help: 'Records that are in the log and that the consumer group has not applied.',
    value: ({ lag }) => lag,
  },
  {
    name: 'openmusic_consumer_stuck_seconds',
    help: 'Time since records began to wait without any being applied; 0 when none wait.',
    value: ({ stuckMs }) => stuckMs / 1_000,
  },
  {
    name: 'openmusic_consumer_lag_alarm',
    help: '1 for a partition whose lag has not shrunk for LAG_ALARM_SECONDS.',
    value: ({ alarm }) => Number(alarm),
  },
];

/** Every scrape sets the gauge anew, so that a consumer that has ended leaves no samples. */
function addGauge(
  registry: Registry,
  { name, help, value }: Metric,
  measured: () => Pick<ConsumerHealth, 'group' | 'partitions'>[],
): void {
  new Gauge({
    name,
    help,
    labelNames: ['group', 'partition'] as const,
    registers: [registry],
    collect() {
      this.reset();
      for (const { group, partitions } of measured()) {
        for (const each of partitions) this.set({ group, partition: each.partition }, value(each));
      }
    },
  });
}
