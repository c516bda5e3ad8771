import { partitionKey, type Position, type TopicPartition } from '../../events/record.ts';

/** How a consumer group stands in one partition, whichever member consumes it. */
export interface PartitionHealth {
  /** `topic/partition`. */
  readonly partition: string;
  /** Why it is not consumed any more. */
  readonly stopped: string | undefined;
  /** Records that are in the log and not applied, as of the last look. */
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

interface Look {
  readonly at: number;
  readonly next: number;
  readonly end: number;
}

const lagOf = ({ next, end }: Look): number => Math.max(0, end - next);

/**
 * Follows how far a group is behind the log. A busy group always has some lag, and one that catches up has much of it, so
 * neither is an alarm. An alarm is a lag that is not smaller than `alarmMs` ago, while even what was in the log then is not
 * applied.
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
  look(stored: readonly StoredProgress[], ends: readonly Position[]): void {
    const endOf = new Map(ends.map((end) => [partitionKey(end), end.offset]));
    for (const { next, stopped, ...where } of stored) {
      const end = endOf.get(partitionKey(where));
      if (end === undefined) continue;
      this.#partitions.get(partitionKey(where))?.look({ at: this.#now(), next, end }, stopped, this.#alarmMs);
    }
  }

  health(): PartitionHealth[] {
    const now = this.#now();
    return [...this.#partitions].map(([partition, lag]) => ({ partition, ...lag.health(now) }));
  }
}

class PartitionLag {
  /** Oldest first; all but the first are younger than the alarm. */
  #looks: Look[] = [];
  #stopped: string | undefined;
  #stuckSince: number | undefined;
  #alarm = false;

  look(look: Look, stopped: string | null, alarmMs: number): void {
    const hasMoved = look.next !== this.#looks.at(-1)?.next;
    this.#stopped = stopped ?? undefined;
    if (lagOf(look) === 0) this.#stuckSince = undefined;
    else this.#stuckSince = hasMoved ? look.at : (this.#stuckSince ?? look.at);
    this.#looks.push(look);
    const firstYoung = this.#looks.findIndex(({ at }) => look.at - at < alarmMs);
    this.#looks = this.#looks.slice(Math.max(0, firstYoung - 1));
    const [then = look] = this.#looks;
    this.#alarm = look.at - then.at >= alarmMs && look.next < then.end && lagOf(look) >= lagOf(then);
  }

  health(now: number): Omit<PartitionHealth, 'partition'> {
    const last = this.#looks.at(-1);
    return {
      stopped: this.#stopped,
      lag: last ? lagOf(last) : 0,
      stuckMs: this.#stuckSince === undefined ? 0 : now - this.#stuckSince,
      alarm: this.#alarm,
    };
  }
}
