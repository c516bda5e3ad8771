import { reasonOf } from '../../errors.ts';
import { partitionKey, type Position, type TopicPartition } from '../../events/record.ts';
import { retryUntil } from '../../concurrency/retry.ts';
import type { Database } from '../../postgres/pool.ts';
import type { Next, RunningSubscription, Slice, Subscription } from '../event-log.ts';
import { WakeSignal } from '../../concurrency/wake-signal.ts';
import { readFrom } from './read.ts';
import { type FetchLimits, sliceOf, type Tail } from './tail.ts';
import { partitionsOf } from './topics.ts';

export interface SubscriptionHost {
  readonly database: Database;
  readonly tail: Tail;
  readonly report: (message: string) => void;
}

/** How often appends of other processes are looked for. Those of this process wake the loop. */
const POLL_MS = 250;
const PAUSE_AFTER_FAILURE_MS = 250;
const RECORDS_PER_PARTITION = 1_000;
/** A subscription that reads this many records of one partition at once is behind. */
const MANY_RECORDS = 200;
const FETCH = { maxBytesPerPartition: 2 * 2 ** 20, maxBytes: 16 * 2 ** 20 };

/** One process owns the log, so every subscription has all partitions. A loop does one fetch at a time. */
export class EmbeddedSubscription implements RunningSubscription {
  readonly #host: SubscriptionHost;
  readonly #subscription: Subscription;
  readonly #wakeSignal = new WakeSignal();
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;
  #assigned: readonly TopicPartition[] = [];
  /** The next offset of each partition; a stopped partition is missing. */
  readonly #wanted = new Map<string, Position>();
  #pollAt = 0;
  #lastFailure = '';

  constructor(host: SubscriptionHost, subscription: Subscription) {
    this.#host = host;
    this.#subscription = subscription;
    this.#running = this.#run();
  }

  assigned(): readonly TopicPartition[] {
    return this.#assigned;
  }

  resume(from: Position): void {
    this.#wanted.set(partitionKey(from), from);
    this.wake();
  }

  /** To be called when there may be something to fetch. */
  wake(): void {
    this.#wakeSignal.notify();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.wake();
    await this.#running;
    this.#assigned = [];
  }

  async #run(): Promise<void> {
    await this.#untilDone('the subscription has not begun', () => this.#begin());
    while (!this.#stopping.signal.aborted) {
      let slices: Slice[] = [];
      await this.#untilDone('the log cannot be read', async () => void (slices = await this.#fetch()));
      if (slices.length === 0) await this.#wakeSignal.wait(POLL_MS);
      else await this.#hand(slices);
    }
  }

  /** Delivers all at once, or in two concurrent halves when there is much: one is judged while the other is committed. */
  async #hand(slices: readonly Slice[]): Promise<void> {
    const isMuch = slices.length > 1 && slices.some(({ records }) => records.length >= MANY_RECORDS);
    const parts = isMuch ? [0, 1].map((half) => slices.filter((_, index) => index % 2 === half)) : [slices];
    await Promise.all(parts.map((part) => this.#untilDone('the same records come again', () => this.#deliver(part))));
  }

  /** Tries until the work succeeds or the subscription stops. Reports the same failure only once. */
  async #untilDone(what: string, work: () => Promise<void>): Promise<void> {
    const onFailure = (error: unknown) => this.#report(`${what}: ${reasonOf(error)}`);
    await retryUntil(this.#stopping.signal, work, { pauseMs: PAUSE_AFTER_FAILURE_MS, onFailure });
    if (!this.#stopping.signal.aborted) this.#lastFailure = '';
  }

  #report(failure: string): void {
    if (failure !== this.#lastFailure) this.#host.report(`${this.#subscription.group}: ${failure}`);
    this.#lastFailure = failure;
  }

  async #begin(): Promise<void> {
    this.#assigned = await partitionsOf(this.#host.database, this.#subscription.topics);
    const positions = await this.#subscription.handler.assigned(this.#assigned);
    for (const position of positions) this.#wanted.set(partitionKey(position), position);
  }

  /** From memory while it holds all that is wanted, and appends of other processes need not be looked for yet. */
  async #fetch(): Promise<Slice[]> {
    const wanted = [...this.#wanted.values()];
    if (wanted.length === 0) return [];
    const limits = this.#limits(wanted.length);
    const inMemory = performance.now() < this.#pollAt ? this.#host.tail.slices(wanted, limits) : undefined;
    return inMemory ?? (await this.#read(wanted, limits));
  }

  async #read(wanted: readonly Position[], limits: FetchLimits): Promise<Slice[]> {
    const found = await readFrom(this.#host.database, wanted, limits);
    this.#pollAt = performance.now() + POLL_MS;
    for (const { end } of found) this.#host.tail.reaches(end);
    return found.map(({ records }) => sliceOf(records)).filter((slice) => slice !== undefined);
  }

  #limits(partitions: number): FetchLimits {
    const { maxBytesPerPartition, maxBytes } = this.#subscription.fetch ?? FETCH;
    const bytes = Math.max(1, Math.min(maxBytesPerPartition, Math.floor(maxBytes / partitions)));
    return { records: RECORDS_PER_PARTITION, bytes };
  }

  async #deliver(slices: readonly Slice[]): Promise<void> {
    const { signal } = this.#stopping;
    const answers = await this.#subscription.handler.deliver(slices, { signal, heartbeat: () => Promise.resolve() });
    const nexts = new Map(answers.map((answer) => [partitionKey(answer), answer.next]));
    for (const slice of slices) this.#goOn(slice, nexts.get(partitionKey(slice)));
  }

  #goOn({ topic, partition }: Slice, next: Next['next'] | undefined): void {
    const key = partitionKey({ topic, partition });
    if (next === undefined) throw new Error(`the handler did not return the next offset of ${key}`);
    if (next === 'stopped') this.#wanted.delete(key);
    else this.#wanted.set(key, { topic, partition, offset: next });
  }
}
