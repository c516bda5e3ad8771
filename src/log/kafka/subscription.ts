import type { Consumer, ConsumerCrashEvent, EachBatchPayload } from 'kafkajs';
import { reasonOf } from '../../errors.ts';
import { partitionKey, type Position, type TopicPartition } from '../../events/record.ts';
import { retryUntil } from '../../concurrency/retry.ts';
import { sleep } from '../../concurrency/sleep.ts';
import type { Blank } from '../entry.ts';
import type { RunningSubscription, Subscription, SubscriptionHandler } from '../event-log.ts';
import { GroupAssignment, type AssignedPartition } from './assignment.ts';
import { createClient, type ClientOptions, type KafkaClient, type LogLine } from './client.ts';
import { createGroupConsumer } from './consumer.ts';
import { within } from '../../concurrency/deadline.ts';
import { deliverBatch, deliverGap, type DeliveryHost } from './delivery.ts';
import { watchEnds } from './end-watch.ts';
import { coalesceDeliveries } from './coalesce.ts';
import { createOffsetCommits, type OffsetCommits } from './offset-commits.ts';
import type { PartitionReader } from './reader.ts';

export interface SubscriptionOptions extends ClientOptions {
  /** Milliseconds without a heartbeat after which a member's partitions go to other members. */
  readonly sessionTimeoutMs?: number;
}

const PAUSE_AFTER_FAILURE_MS = 250;
const STOP_WITHIN_MS = 8_000;
/** All partitions of a fetch, so that they can be delivered together. */
const CONCURRENT_PARTITIONS = 64;

/**
 * One member of a consumer group. kafkajs fetches batches, and the handler decides where to begin and where to go on.
 *
 * At a join every partition is paused in the same turn of the event loop, before kafkajs can fetch, because kafkajs does not wait for
 * a listener. A partition is resumed only when the handler has chosen its first offset.
 */
export class KafkaSubscription implements RunningSubscription {
  readonly #handler: SubscriptionHandler;
  readonly #onCrash: (error: Error) => void;
  readonly #logger: LogLine;
  readonly #client: KafkaClient;
  readonly #consumer: Consumer;
  readonly #offsetCommits: OffsetCommits;
  readonly #host: DeliveryHost;
  readonly #reader: PartitionReader;
  readonly #stopping = new AbortController();
  readonly #deliveries = new Set<Promise<void>>();
  #assignment = new GroupAssignment([]);
  #asking: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | undefined;

  constructor(options: SubscriptionOptions, subscription: Subscription, reader: PartitionReader) {
    this.#reader = reader;
    this.#handler = subscription.handler;
    this.#onCrash = subscription.onCrash;
    this.#logger = options.logger;
    this.#client = createClient(options);
    this.#consumer = createGroupConsumer(this.#client.kafka, {
      group: subscription.group,
      fetch: subscription.fetch,
      sessionTimeoutMs: options.sessionTimeoutMs,
      mayRestart: () => !this.#stopping.signal.aborted,
    });
    this.#offsetCommits = createOffsetCommits((positions) =>
      this.#consumer.commitOffsets(positions.map(withTextOffset)),
    );
    this.#host = this.#createHost();
  }

  /** Resolves after the first join. */
  async start(topics: readonly string[]): Promise<void> {
    this.#consumer.on(this.#consumer.events.GROUP_JOIN, ({ payload }) =>
      this.#joined(flatten(payload.memberAssignment)),
    );
    this.#consumer.on(this.#consumer.events.CRASH, ({ payload }) => this.#crashed(payload));
    await this.#consumer.connect();
    await this.#consumer.subscribe({ topics: [...topics], fromBeginning: true });
    await this.#consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: CONCURRENT_PARTITIONS,
      eachBatch: (payload) => this.#track(this.#eachBatch(payload)),
    });
    void watchEnds({
      reader: this.#reader,
      partitions: () => this.#assignment.partitions,
      found: (partition, gap) => this.#track(this.#gapAtEnd(partition, gap)),
      signal: this.#stopping.signal,
      onFailure: (error) => this.#logger('debug', 'the ends were not checked', { reason: reasonOf(error) }),
    });
  }

  assigned(): readonly TopicPartition[] {
    return this.#assignment.partitions.map(({ topic, partition }) => ({ topic, partition }));
  }

  resume(from: Position): void {
    const partition = this.#assignment.find(from);
    if (!partition) return; // the next join asks the handler where to begin
    partition.want(from.offset);
    this.#steer(() => {
      this.#consumer.seek(withTextOffset(from));
      this.#consumer.resume(byTopic([from]));
    });
  }

  stop(): Promise<void> {
    return (this.#stopped ??= this.#stop());
  }

  /** Closes the connections after a while, because the broker may be frozen, or the handler may ignore its signal. */
  async #stop(): Promise<void> {
    this.#stopping.abort();
    this.#steer(() => this.#consumer.pause(byTopic(this.#assignment.partitions)));
    try {
      await within(STOP_WITHIN_MS, 'leaving the group', this.#leave());
    } catch (error) {
      this.#logger('warn', 'the subscription was cut off', { reason: reasonOf(error) });
    } finally {
      this.#client.destroy();
      this.#assignment = new GroupAssignment([]);
    }
  }

  async #leave(): Promise<void> {
    await Promise.allSettled([this.#asking, ...this.#deliveries]);
    await this.#offsetCommits.flush();
    await this.#consumer.disconnect();
  }

  /** Must not wait, because kafkajs fetches as soon as this returns. Throws after `stop`, to end a join that is still running. */
  #joined(partitions: readonly TopicPartition[]): void {
    this.#stopping.signal.throwIfAborted();
    const assignment = new GroupAssignment(partitions);
    this.#assignment = assignment;
    this.#offsetCommits.forget();
    this.#consumer.pause(byTopic(partitions));
    this.#asking = this.#asking.then(() => this.#begin(assignment));
  }

  /** Asks the handler where to begin, until it answers or another join replaces the assignment. */
  async #begin(assignment: GroupAssignment): Promise<void> {
    await Promise.allSettled(this.#deliveries); // those of the join before
    const isCurrent = () => this.#assignment === assignment;
    const ask = async () => {
      const positions = isCurrent() ? await this.#handler.assigned(this.assigned()) : [];
      if (isCurrent()) for (const position of positions) this.resume(position);
    };
    const onFailure = (error: unknown) => this.#report('the handler could not say where to begin', error);
    await retryUntil(this.#stopping.signal, ask, { pauseMs: PAUSE_AFTER_FAILURE_MS, onFailure });
  }

  /** Never rejects: a TypeError and the like would end the consumer for good, and other errors use up its retries. */
  async #eachBatch(payload: EachBatchPayload): Promise<void> {
    const partition = this.#assignment.find(payload.batch);
    if (!partition || this.#stopping.signal.aborted) return;
    try {
      await partition.inTurn(() => deliverBatch(this.#host, partition, payload));
    } catch (error) {
      this.#report(`${partitionKey(partition)} was not handled and is delivered again`, error);
      await sleep(PAUSE_AFTER_FAILURE_MS, this.#stopping.signal);
      await payload.heartbeat().catch(() => undefined); // fails again after the batch, where kafkajs handles it
    }
  }

  async #gapAtEnd(partition: AssignedPartition, gap: Blank): Promise<void> {
    const isWanted = () => this.#assignment.has(partition) && partition.wanted === gap.offset;
    try {
      await partition.inTurn(async () => {
        if (isWanted()) await deliverGap(this.#host, partition, gap);
      });
    } catch (error) {
      this.#report(`${partitionKey(partition)} was not handled and is delivered again`, error);
    }
  }

  async #track(delivery: Promise<void>): Promise<void> {
    this.#deliveries.add(delivery);
    await delivery.finally(() => this.#deliveries.delete(delivery));
  }

  #crashed({ error, restart }: ConsumerCrashEvent['payload']): void {
    if (this.#stopping.signal.aborted) return;
    this.#assignment = new GroupAssignment([]);
    this.#report(restart ? 'the consumer starts again' : 'the consumer has ended', error);
    if (!restart) this.#onCrash(error);
  }

  #createHost(): DeliveryHost {
    return {
      handler: { deliver: coalesceDeliveries(this.#handler, this.#stopping.signal) },
      signal: this.#stopping.signal,
      isCurrent: (partition) => this.#assignment.has(partition),
      seek: ({ topic, partition }, offset) =>
        this.#steer(() => this.#consumer.seek(withTextOffset({ topic, partition, offset }))),
      pause: (partition) => this.#steer(() => this.#consumer.pause(byTopic([partition]))),
      reached: ({ topic, partition }: AssignedPartition, offset) =>
        this.#offsetCommits.note({ topic, partition, offset }),
    };
  }

  /** Ignores failures: while kafkajs restarts after a crash it has no runner, and the next join sets every partition again. */
  #steer(change: () => void): void {
    try {
      change();
    } catch (error) {
      this.#logger('debug', 'the consumer is not running', { reason: reasonOf(error) });
    }
  }

  #report(what: string, error: unknown): void {
    this.#logger('error', `${what}: ${reasonOf(error)}`, { err: error });
  }
}

const withTextOffset = ({ topic, partition, offset }: Position) => ({ topic, partition, offset: String(offset) });

const flatten = (assignment: Readonly<Record<string, readonly number[]>>): TopicPartition[] =>
  Object.entries(assignment).flatMap(([topic, partitions]) => partitions.map((partition) => ({ topic, partition })));

const byTopic = (partitions: readonly TopicPartition[]) =>
  partitions.map(({ topic, partition }) => ({ topic, partitions: [partition] }));
