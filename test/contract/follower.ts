import { recordsOf } from '../support/records.ts';
import { partitionKey, type Position, type StoredRecord, type TopicPartition } from '../../src/events/record.ts';
import type { DeliveryContext, Next, Slice, SubscriptionHandler } from '../../src/log/event-log.ts';

type Answer = Next['next'] | undefined;

/** A handler that records what it received, and on which a test can wait. By default it requests every record. */
export class Follower implements SubscriptionHandler {
  readonly joins: (readonly TopicPartition[])[] = [];
  readonly slices: Slice[] = [];
  /** The start offset of each partition. */
  readonly from = new Map<string, number>();
  /** Runs before a partition's first slice of each join. */
  onAssigned: () => Promise<void> | void = () => undefined;
  /** May throw, wait, or return another offset than the one after the slice. */
  onDeliver: (slice: Slice, context: DeliveryContext) => Promise<Answer> | Answer = () => undefined;
  readonly #waiting = new Set<() => void>();

  get records(): StoredRecord[] {
    return this.slices.flatMap(({ records }) => recordsOf(records));
  }

  keys(of?: TopicPartition): string[] {
    return this.records.filter((record) => !of || partitionKey(record) === partitionKey(of)).map(({ key }) => key);
  }

  async assigned(partitions: readonly TopicPartition[]): Promise<Position[]> {
    this.joins.push(partitions);
    this.#wake();
    await this.onAssigned();
    return partitions.map((each) => ({ ...each, offset: this.from.get(partitionKey(each)) ?? 0 }));
  }

  async deliver(slices: readonly Slice[], context: DeliveryContext): Promise<Next[]> {
    return Promise.all(slices.map((slice) => this.#take(slice, context)));
  }

  async #take(slice: Slice, context: DeliveryContext): Promise<Next> {
    this.slices.push(slice);
    this.#wake();
    const { topic, partition, records } = slice;
    const next = (await this.onDeliver(slice, context)) ?? records.at(-1)!.offset + 1;
    return { topic, partition, next };
  }

  #wake(): void {
    for (const look of this.#waiting) look();
  }

  /** Checks the condition after every call of the handler. */
  async until(condition: () => boolean, ms = 30_000): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => finish(() => reject(new Error(`waited in vain; so far ${this.#summary()}`))), ms);
      const look = () => condition() && finish(resolve);
      const finish = (settle: () => void) => {
        clearTimeout(late);
        this.#waiting.delete(look);
        settle();
      };
      this.#waiting.add(look);
      look();
    });
  }

  #summary(): string {
    return `${this.joins.length} joins, ${this.slices.length} slices, keys ${this.keys().slice(-10).join(' ')}`;
  }
}
