import { partitionKey, type Position, type StoredRecord, type TopicPartition } from '../../src/events/record.ts';
import { isBlank, lastOffsetOf, type LogEntry } from '../../src/log/entry.ts';
import { type Append, AppendError } from '../../src/log/event-log.ts';
import type { Actor, Scheduler } from './scheduler.ts';

/** How often appends fail, as probabilities. */
export interface LogFaults {
  readonly duplicated: number;
  /** The outcome of an append is unknown to its sender: its records arrive, arrive later, or never do. */
  readonly unknown: number;
  readonly refused: number;
  /** A stranger's transaction leaves a marker, or a stranger's unreadable batch is declared void at once. */
  readonly blank: number;
}

/**
 * The log: dense offsets per partition, and appends that get lost, arrive late, arrive twice, or have strangers behind
 * them.
 */
export class ModelLog {
  readonly #scheduler: Scheduler;
  readonly #faults: () => LogFaults;
  readonly #partitions: ReadonlyMap<string, LogEntry[]>;
  /** Appends in transit; their sender does not know the outcome, or assumes that they arrived long ago. */
  #late: Append[] = [];
  #epoch = 0;

  constructor(scheduler: Scheduler, partitions: readonly TopicPartition[], faults: () => LogFaults) {
    this.#scheduler = scheduler;
    this.#faults = faults;
    this.#partitions = new Map(partitions.map((where) => [partitionKey(where), []]));
  }

  records(where: TopicPartition): readonly StoredRecord[] {
    return this.#entries(where).filter((entry): entry is StoredRecord => !isBlank(entry));
  }

  /** The result of a fetch from an offset on: whole batches. */
  from({ offset, ...where }: Position): readonly LogEntry[] {
    return this.#entries(where).filter((entry) => lastOffsetOf(entry) >= offset);
  }

  end(where: TopicPartition): number {
    const last = this.#entries(where).at(-1);
    return last ? lastOffsetOf(last) + 1 : 0;
  }

  ends(partitions: readonly TopicPartition[]): Position[] {
    return partitions.map(({ topic, partition }) => ({ topic, partition, offset: this.end({ topic, partition }) }));
  }

  /** Its initial records. */
  begin(appends: readonly Append[]): void {
    for (const append of appends) this.#write(append);
  }

  appendAs(actor: Actor): (batch: readonly Append[]) => Promise<void> {
    return (batch) => this.#scheduler.call(actor, () => this.#append(batch));
  }

  newLeader(): void {
    this.#epoch++;
  }

  /** One of the appends in transit arrives. */
  arrive(): void {
    const [append] = this.#late.splice(this.#scheduler.pick(this.#late.length), 1);
    if (append) this.#write(append);
  }

  /** All appends in transit arrive or are lost. */
  settle(): void {
    while (this.#late.length > 0) this.arrive();
  }

  #append(batch: readonly Append[]): void {
    const { refused, unknown, duplicated } = this.#faults();
    const { chance } = this.#scheduler;
    const is = chance.bind(this.#scheduler);
    if (is(refused)) throw new AppendError('refused', 'not enough replicas');
    const isUnknown = is(unknown);
    for (const append of batch) {
      if (isUnknown) this.#perhaps(append);
      else this.#write(append);
      if (is(duplicated)) this.#perhaps(append);
    }
    if (isUnknown) throw new AppendError('unknown', 'no answer in time');
  }

  #perhaps(append: Append): void {
    const outcome = this.#scheduler.random();
    if (outcome < 0.3) this.#write(append);
    else if (outcome < 0.75) this.#late.push(append);
  }

  #write({ topic, partition, record }: Append): void {
    const where = { topic, partition };
    this.#entries(where).push({ ...record, ...where, offset: this.end(where), leaderEpoch: this.#epoch });
    const { blank } = this.#faults();
    if (blank > 0 && this.#scheduler.chance(blank)) this.#writeBlank(where);
  }

  #writeBlank(where: TopicPartition): void {
    const offset = this.end(where);
    const isMarker = this.#scheduler.chance(0.5);
    const last = isMarker ? offset : offset + this.#scheduler.pick(3);
    const blank = isMarker ? ('control' as const) : ('unreadable' as const);
    this.#entries(where).push({ ...where, blank, offset, last, leaderEpoch: this.#epoch, reason: 'a stranger' });
  }

  #entries(where: TopicPartition): LogEntry[] {
    return this.#partitions.get(partitionKey(where)) ?? [];
  }
}
