import type { Placement } from '../events/placement.ts';
import { partitionKey, type Position, type TopicPartition } from '../events/record.ts';
import { type AcceptedEvent, type AcceptedSlice, readAccepted } from '../event-store/accepted-events.ts';
import { CLOUD_EVENT, publishedEvent } from '../event-store/published-event.ts';
import type { Append, EventLog } from '../log/event-log.ts';
import { publishedTail, publishedTopicOf } from '../log/published.ts';
import type { Database } from '../postgres/pool.ts';

export interface PublishingOptions {
  readonly log: Pick<EventLog, 'append' | 'begins' | 'ends' | 'read'>;
  readonly placement: Placement;
  /** The read models, whose index of accepted events is published. */
  readonly database: Pick<Database, 'query'>;
}

/** One source partition and what is known of its published one. */
interface Published {
  readonly source: TopicPartition;
  readonly target: TopicPartition;
  /** Where to go on; undefined while it has to be read from what is published. */
  tail: { next: number; end: number } | undefined;
}

/** Records and bytes of one partition in one append: the broker refuses a batch that is too large. */
const BATCH_RECORDS = 500;
const BATCH_BYTES = 500_000;

/**
 * Publishes accepted events, each partition in its order, from where the published partition ends. Nothing else is remembered.
 *
 * Any number of publishers may write to one partition. Each begins at or before the first unpublished event and leaves none out, so
 * the first copies of all events are in order, with none missing, however the writes of several publishers mix; the others are
 * repeats, which readers ignore by their source offset. After each append the end of the partition shows whether another one has
 * written, or the broker has lost records: then the tail is read again. So a publisher that was taken for dead adds one batch.
 */
export class Publishing {
  readonly #options: PublishingOptions;
  #partitions: readonly Published[] = [];

  constructor(options: PublishingOptions) {
    this.#options = options;
  }

  /** Replaces all partitions by these. */
  assign(sources: readonly TopicPartition[]): void {
    const { namespace } = this.#options.placement;
    this.#partitions = sources.map((source) => ({
      source,
      target: { topic: publishedTopicOf(namespace, source.topic), partition: source.partition },
      tail: undefined,
    }));
  }

  /** The next source offset of each assigned partition that is known. */
  positions(): Position[] {
    return this.#partitions.flatMap(({ source, tail }) => (tail ? [{ ...source, offset: tail.next }] : []));
  }

  /**
   * Publishes the next events of every partition in one append, and returns how many. After a failure the outcome is unknown: the
   * next round reads what is published, and repeats what is not there.
   */
  async round(): Promise<number> {
    const { log, database } = this.#options;
    const partitions = this.#partitions;
    if (partitions.length === 0) return 0;
    const known = await Promise.all(partitions.map(async (each) => (each.tail ??= await publishedTail(log, each.target))));
    const ranges = partitions.map(({ source }, index) => ({ ...source, offset: known[index]!.next }));
    const limit = Math.max(20, Math.ceil((4 * BATCH_RECORDS) / partitions.length));
    const slices = await readAccepted(database, ranges, { limit: Math.min(BATCH_RECORDS, limit) });
    const batches = partitions.map((each, index) => batchOf(each, slices[index]!));
    try {
      await this.#append(batches);
    } catch (error) {
      for (const { published, appends } of batches) if (appends.length > 0) published.tail = undefined;
      throw error;
    }
    return batches.reduce((sum, { appends }) => sum + appends.length, 0);
  }

  async #append(batches: readonly Batch[]): Promise<void> {
    const { log } = this.#options;
    const appends = batches.flatMap((batch) => batch.appends);
    if (appends.length > 0) await log.append(appends);
    const written = batches.filter((batch) => batch.appends.length > 0);
    const ends = written.length > 0 ? await log.ends(written.map(({ published }) => published.target)) : [];
    const endOf = new Map(ends.map((end) => [partitionKey(end), end.offset]));
    for (const { published, appends: own, next } of batches) {
      if (!published.tail) continue;
      const end = published.tail.end + own.length;
      const isAlone = own.length === 0 || endOf.get(partitionKey(published.target)) === end;
      published.tail = isAlone ? { next, end } : undefined;
    }
  }
}

interface Batch {
  readonly published: Published;
  readonly appends: readonly Append[];
  /** The source offset after them. */
  readonly next: number;
}

function batchOf(published: Published, { events, next }: AcceptedSlice): Batch {
  const appends: Append[] = [];
  let bytes = 0;
  for (const event of events) {
    const append = { ...published.target, record: recordOf(event) };
    bytes += append.record.value.length;
    if (bytes > BATCH_BYTES && appends.length > 0) return { published, appends, next: event.offset };
    appends.push(append);
  }
  return { published, appends, next };
}

const recordOf = (event: AcceptedEvent) => ({
  key: event.stream,
  value: Buffer.from(publishedEvent(event)),
  headers: { 'content-type': CLOUD_EVENT },
});
