import type { Placement } from '../events/placement.ts';
import { partitionKey, type Position, type TopicPartition } from '../events/record.ts';
import { type AcceptedEvent, type AcceptedSlice, readAccepted } from '../event-store/accepted-events.ts';
import { CLOUD_EVENT, publishedEvent } from '../event-store/published-event.ts';
import type { Append, EventLog } from '../log/event-log.ts';
import { type PublishedTail, publishedTail, publishedTopicOf } from '../log/published.ts';
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
  tail: PublishedTail | undefined;
}

/** Events of one read and append. A partition among 24 has 84 of them, and one alone all. */
const ROUND_RECORDS = 2_000;
/** Bytes of one partition in one append, unless one record has more. */
const BATCH_BYTES = 500_000;

/**
 * Publishes accepted events, each partition in its order, from where the published partition ends. Nothing else is remembered.
 *
 * Any number of publishers may write to one partition. Each begins at or before the first unpublished event and leaves none out, so
 * the first copies of all events are in order, with none missing, however the writes of several publishers mix; the others are
 * repeats, which readers ignore by their source offset. Before each append the end of the partition shows whether another one has
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
   * Publishes the next events of every partition in one append. False when there was nothing to do. After a failure the outcome is
   * unknown: the next round reads what is published, and repeats what is not there.
   */
  async round(): Promise<boolean> {
    const { log } = this.#options;
    const batches = await this.#nextBatches();
    const stale = await this.#forgetMoved(batches);
    const current = batches.filter(({ published }) => published.tail !== undefined);
    const appends = current.flatMap((batch) => batch.appends);
    try {
      if (appends.length > 0) await log.append(appends);
    } catch (error) {
      for (const { published, appends: unknown } of current) if (unknown.length > 0) published.tail = undefined;
      throw error;
    }
    for (const { published, tail, appends: own, next } of current) {
      published.tail = { next, end: tail.end + own.length };
    }
    return appends.length > 0 || stale > 0;
  }

  async #nextBatches(): Promise<Batch[]> {
    const { log, database } = this.#options;
    const partitions = this.#partitions;
    if (partitions.length === 0) return [];
    const known = await Promise.all(
      partitions.map(async (published) => ({
        published,
        tail: (published.tail ??= await publishedTail(log, published.target)),
      })),
    );
    const ranges = known.map(({ published, tail }) => ({ ...published.source, offset: tail.next }));
    const limit = Math.ceil(ROUND_RECORDS / partitions.length);
    const slices = await readAccepted(database, ranges, { limit });
    const bySource = new Map(slices.map((slice) => [partitionKey(slice), slice]));
    return known.flatMap(({ published, tail }) => {
      const slice = bySource.get(partitionKey(published.source));
      return slice ? [batchOf(published, tail, slice)] : [];
    });
  }

  /** Forgets the tails that are not where this publisher left them. Returns how many those are. */
  async #forgetMoved(batches: readonly Batch[]): Promise<number> {
    const due = batches.filter(({ appends }) => appends.length > 0);
    if (due.length === 0) return 0;
    const ends = await this.#options.log.ends(due.map(({ published }) => published.target));
    const endOf = new Map(ends.map((end) => [partitionKey(end), end.offset]));
    const moved = due.filter(({ published, tail }) => endOf.get(partitionKey(published.target)) !== tail.end);
    for (const { published } of moved) published.tail = undefined;
    return moved.length;
  }
}

interface Batch {
  readonly published: Published;
  /** Where the published partition ended before them. */
  readonly tail: PublishedTail;
  readonly appends: readonly Append[];
  /** The source offset after them. */
  readonly next: number;
}

function batchOf(published: Published, tail: PublishedTail, { events, next }: AcceptedSlice): Batch {
  const appends: Append[] = [];
  let bytes = 0;
  for (const event of events) {
    const append = { ...published.target, record: recordOf(event) };
    bytes += append.record.value.length;
    if (bytes > BATCH_BYTES && appends.length > 0) return { published, tail, appends, next: event.offset };
    appends.push(append);
  }
  return { published, tail, appends, next };
}

const recordOf = (event: AcceptedEvent) => ({
  key: event.stream,
  value: Buffer.from(publishedEvent(event)),
  headers: { 'content-type': CLOUD_EVENT },
});
