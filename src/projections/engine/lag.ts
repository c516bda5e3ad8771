import { partitionKey, type Position, type TopicPartition } from '../../events/record.ts';

/** How far a consumer group is in one partition, also when another member consumes it. */
export interface PartitionHealth {
  /** `topic/partition`. */
  readonly partition: string;
  /** Why the partition is no longer consumed. */
  readonly stopped: string | undefined;
  /** Records that were in the log and not applied at the last measurement. */
  readonly lag: number;
  /** Milliseconds since records began to wait without any being applied; 0 when none wait. */
  readonly stuckMs: number;
  /** The lag has not shrunk for as long as is allowed. */
  readonly alarm: boolean;
}

/** A checkpoint as it is stored. */
export interface StoredProgress extends TopicPartition {
  readonly next: number;
  readonly stopped: string | null;
}

interface Measurement {
  readonly at: number;
  readonly next: number;
  readonly end: number;
}

const lagOf = ({ next, end }: Measurement): number => Math.max(0, end - next);

/**
 * Watches how far a group is behind the log. A busy group always has some lag, and one that catches up has much of it, so
 * neither raises the alarm. The alarm is raised when the lag is no smaller than `alarmMs` ago and the records that were in the
 * log then are still not all applied.
 */
export class LagWatch {
  readonly #alarmMs: number;
  readonly #now: () => number;
  readonly #partitions: Map<string, PartitionLag>;

  constructor(partitions: readonly TopicPartition[], alarmMs: number, now: () => number = Date.now) {
    this.#alarmMs = alarmMs;
    this.#now = now;
    this.#partitions = new Map(partitions.map((where) => [partitionKey(where), new PartitionLag()]));
  }

  /** `stored` must have been read before `ends`, or records that were applied in between would make the lag negative. */
  measure(stored: readonly StoredProgress[], ends: readonly Position[]): void {
    const endOf = new Map(ends.map((end) => [partitionKey(end), end.offset]));
    for (const { next, stopped, ...where } of stored) {
      const end = endOf.get(partitionKey(where));
      if (end === undefined) continue;
      this.#partitions.get(partitionKey(where))?.measure({ at: this.#now(), next, end }, stopped, this.#alarmMs);
    }
  }

  health(): PartitionHealth[] {
    const now = this.#now();
    return [...this.#partitions].map(([partition, lag]) => ({ partition, ...lag.health(now) }));
  }
}

class PartitionLag {
  /** Oldest first; all but the first are younger than the alarm. */
  #measurements: Measurement[] = [];
  #stopped: string | undefined;
  #stuckSince: number | undefined;
  #alarm = false;

  measure(latest: Measurement, stopped: string | null, alarmMs: number): void {
    const hasMoved = latest.next !== this.#measurements.at(-1)?.next;
    this.#stopped = stopped ?? undefined;
    if (lagOf(latest) === 0) this.#stuckSince = undefined;
    else this.#stuckSince = hasMoved ? latest.at : (this.#stuckSince ?? latest.at);
    this.#measurements.push(latest);
    const firstYoung = this.#measurements.findIndex(({ at }) => latest.at - at < alarmMs);
    this.#measurements = this.#measurements.slice(Math.max(0, firstYoung - 1));
    const [then = latest] = this.#measurements;
    this.#alarm = latest.at - then.at >= alarmMs && latest.next < then.end && lagOf(latest) >= lagOf(then);
  }

  health(now: number): Omit<PartitionHealth, 'partition'> {
    const last = this.#measurements.at(-1);
    return {
      stopped: this.#stopped,
      lag: last ? lagOf(last) : 0,
      stuckMs: this.#stuckSince === undefined ? 0 : now - this.#stuckSince,
      alarm: this.#alarm,
    };
  }
}
