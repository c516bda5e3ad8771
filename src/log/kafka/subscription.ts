import type { Consumer, ConsumerCrashEvent, EachBatchPayload } from 'kafkajs';
import { reasonOf } from '../../errors.ts';
import { partitionKey, type Position, type TopicPartition } from '../../events/record.ts';
import { retryUntil } from '../../concurrency/retry.ts';
import { sleep } from '../../concurrency/sleep.ts';
import type { Blank } from '../entry.ts';
import type { RunningSubscription, Subscription, SubscriptionHandler } from '../event-log.ts';
import { Assignment, type AssignedPartition } from './assignment.ts';
import { createClient, type ClientOptions, type KafkaClient, type LogLine } from './client.ts';
import { createGroupConsumer } from './consumer.ts';
import { within } from '../../concurrency/deadline.ts';
import { deliverBatch, deliverGap, type DeliveryHost } from './delivery.ts';
import { watchEnds } from './end-watch.ts';
import { coalesceDeliveries } from './coalesce.ts';
import { createOffsetCommits, type OffsetCommits } from './offset-commits.ts';
import type { Reader } from './reader.ts';

export interface SubscriptionOptions extends ClientOptions {
  /** After how long without a sign of life a member's partitions go to others. */
  readonly sessionTimeoutMs?: number;
}

const PAUSE_AFTER_FAILURE_MS = 250;
const STOP_WITHIN_MS = 8_000;
/** All partitions of a fetch, so that they can be handed over together. */
const PARTITIONS_AT_ONCE = 64;

/**
 * One member of a consumer group. kafkajs brings batches; where to begin and to go on says the handler.
 *
 * At a join every partition is paused in the same turn of the event loop, before kafkajs can fetch, because kafkajs does
 * not wait for a listener. The handler is asked, and only its answer sets a partition going.
 */
export class KafkaSubscription implements RunningSubscription {
  readonly #handler: SubscriptionHandler;
  readonly #onCrash: (error: Error) => void;
  readonly #logger: LogLine;
  readonly #client: KafkaClient;
  readonly #consumer: Consumer;
  readonly #hints: OffsetCommits;
  readonly #host: DeliveryHost;
  readonly #reader: Reader;
  readonly #stopping = new AbortController();
  readonly #deliveries = new Set<Promise<void>>();
  #assignment = new Assignment([]);
  #asking: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | undefined;

  constructor(options: SubscriptionOptions, subscription: Subscription, reader: Reader) {
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
    this.#hints = createOffsetCommits((positions) => this.#consumer.commitOffsets(positions.map(withTextOffset)));
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
      partitionsConsumedConcurrently: PARTITIONS_AT_ONCE,
      eachBatch: (payload) => this.#track(this.#eachBatch(payload)),
    });
    void watchEnds({
      reader: this.#reader,
      partitions: () => this.#assignment.partitions,
      found: (partition, gap) => this.#track(this.#gapAtEnd(partition, gap)),
      signal: this.#stopping.signal,
      onFailure: (error) => this.#logger('debug', 'the ends were not looked at', { reason: reasonOf(error) }),
    });
  }

  assigned(): readonly TopicPartition[] {
    return this.#assignment.partitions.map(({ topic, partition }) => ({ topic, partition }));
  }

  resume(from: Position): void {
    const partition = this.#assignment.find(from);
    if (!partition) return; // the next join asks where to begin
    partition.want(from.offset);
    this.#steer(() => {
      this.#consumer.seek(withTextOffset(from));
      this.#consumer.resume(byTopic([from]));
    });
  }

  stop(): Promise<void> {
    return (this.#stopped ??= this.#stop());
  }

  /** The broker may be frozen, the handler may not listen to its signal: after a while the connections are broken. */
  async #stop(): Promise<void> {
    this.#stopping.abort();
    this.#steer(() => this.#consumer.pause(byTopic(this.#assignment.partitions)));
    try {
      await within(STOP_WITHIN_MS, 'leaving the group', this.#leave());
    } catch (error) {
      this.#logger('warn', 'the subscription was cut off', { reason: reasonOf(error) });
    } finally {
      this.#client.destroy();
      this.#assignment = new Assignment([]);
    }
  }

  async #leave(): Promise<void> {
    await Promise.allSettled([this.#asking, ...this.#deliveries]);
    await this.#hints.flush();
    await this.#consumer.disconnect();
  }

  /** Must not wait: kafkajs fetches as soon as it returns. A throw ends a join that goes on after `stop`. */
  #joined(partitions: readonly TopicPartition[]): void {
    this.#stopping.signal.throwIfAborted();
    const assignment = new Assignment(partitions);
    this.#assignment = assignment;
    this.#hints.forget();
    this.#consumer.pause(byTopic(partitions));
    this.#asking = this.#asking.then(() => this.#begin(assignment));
  }

  /** Asks the handler where to begin, until it says so or another join has made the question void. */
  async #begin(assignment: Assignment): Promise<void> {
    await Promise.allSettled(this.#deliveries); // of the join before
    const isCurrent = () => this.#assignment === assignment;
    const ask = async () => {
      const positions = isCurrent() ? await this.#handler.assigned(this.assigned()) : [];
      if (isCurrent()) for (const position of positions) this.resume(position);
    };
    const onFailure = (error: unknown) => this.#report('the handler could not say where to begin', error);
    await retryUntil(this.#stopping.signal, ask, { pauseMs: PAUSE_AFTER_FAILURE_MS, onFailure });
  }

  /** Lets nothing out: an error of the programmer's kind would end the consumer for good, others use up its retries. */
  async #eachBatch(payload: EachBatchPayload): Promise<void> {
    const partition = this.#assignment.find(payload.batch);
    if (!partition || this.#stopping.signal.aborted) return;
    try {
      await partition.inTurn(() => deliverBatch(this.#host, partition, payload));
    } catch (error) {
      this.#report(`${partitionKey(partition)} was not handled and comes again`, error);
      await sleep(PAUSE_AFTER_FAILURE_MS, this.#stopping.signal);
      await payload.heartbeat().catch(() => undefined); // fails again after the batch, where kafkajs deals with it
    }
  }

  async #gapAtEnd(partition: AssignedPartition, gap: Blank): Promise<void> {
    const isWanted = () => this.#assignment.has(partition) && partition.wanted === gap.offset;
    try {
      await partition.inTurn(async () => {
        if (isWanted()) await deliverGap(this.#host, partition, gap);
      });
    } catch (error) {
      this.#report(`${partitionKey(partition)} was not handled and comes again`, error);
    }
  }

  async #track(delivery: Promise<void>): Promise<void> {
    this.#deliveries.add(delivery);
    await delivery.finally(() => this.#deliveries.delete(delivery));
  }

  #crashed({ error, restart }: ConsumerCrashEvent['payload']): void {
    if (this.#stopping.signal.aborted) return;
    this.#assignment = new Assignment([]);
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
      reached: ({ topic, partition }: AssignedPartition, offset) => this.#hints.note({ topic, partition, offset }),
    };
  }

  /** While kafkajs starts again after a crash it has nothing to steer; the join to come asks for everything anew. */
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
