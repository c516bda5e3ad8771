import { partitionKey, type TopicPartition } from '../events/record.ts';
import type { Database } from '../postgres/pool.ts';
import { type AcceptedEvent, type Range, readAccepted } from './accepted-events.ts';

/** The next offset of each partition, in the order of the partitions. */
export type Offsets = readonly number[];

export interface FeedOptions {
  readonly database: Pick<Database, 'query'>;
  readonly partitions: readonly TopicPartition[];
  /** Whether events of the partition are wanted. */
  readonly isWanted: (partition: TopicPartition) => boolean;
  readonly from: Offsets;
  /** Where to end; without it the feed follows the log. */
  readonly until?: Offsets;
  /** Header `ce_type` of the wanted events. */
  readonly type?: string | undefined;
  readonly stream?: string | undefined;
  /** Events at most. */
  readonly limit?: number | undefined;
}

/** The events of one read, each with the position after it, and the position after all of them. */
export interface FeedPage {
  readonly events: readonly { readonly event: AcceptedEvent; readonly position: string }[];
  readonly position: string;
}

const PAGE = 1_000;

/** The next offset to project in each partition: every accepted event before it can be read. */
export async function projectedOffsets(
  database: Pick<Database, 'query'>,
  partitions: readonly TopicPartition[],
): Promise<Offsets> {
  const text = 'SELECT topic, partition, next FROM checkpoints';
  const rows = await database.query<TopicPartition & { readonly next: number } & Record<string, unknown>>({ text });
  const next = new Map(rows.map((row) => [partitionKey(row), row.next]));
  return partitions.map((partition) => next.get(partitionKey(partition)) ?? 0);
}

/**
 * Accepted events of all partitions: those of one partition in its order, and the partitions in turns. Each page is one query, and
 * no connection is held between two pages. A page without events says that there are none now; only a feed that follows goes on
 * after it. Another one reads a page ahead. The caller's `position` turns offsets into the text that clients get.
 */
export async function* readFeed(options: FeedOptions, position: (offsets: Offsets) => string) {
  const next = createReader(options, position);
  let coming = next();
  for (let page = await coming; page; page = await coming) {
    if (options.until) {
      coming = next();
      coming.catch(() => undefined); // it is thrown where it is awaited, unless the client has left
    }
    yield page;
    if (!options.until) coming = next();
  }
}

/** Reads the next page at each call; undefined after the last one. */
function createReader(options: FeedOptions, position: (offsets: Offsets) => string) {
  const { partitions, isWanted, until, limit = Infinity } = options;
  const offsets = [...options.from];
  let left = limit;
  return async (): Promise<FeedPage | undefined> => {
    const open = partitions
      .map((where, index) => ({ ...where, index, offset: offsets[index] ?? 0, until: until && (until[index] ?? 0) }))
      .filter((range) => isWanted(range) && range.offset < (range.until ?? Infinity));
    if (open.length === 0 || left <= 0) return undefined;
    const page = await readPage(options, { open, offsets, left }, position);
    left -= page.events.length;
    return page.events.length === 0 && until !== undefined ? undefined : page;
  };
}

interface Reach {
  /** The ranges to read, each with the index of its partition. */
  readonly open: readonly (Range & { readonly index: number })[];
  /** Moved on. */
  readonly offsets: number[];
  /** Events that may still be given. */
  readonly left: number;
}

async function readPage(
  { database, type, stream }: FeedOptions,
  { open, offsets, left }: Reach,
  position: (offsets: Offsets) => string,
): Promise<FeedPage> {
  const limit = Math.ceil(Math.min(PAGE, left) / open.length);
  const slices = await readAccepted(database, open, { limit, type, stream });
  const indexOf = new Map(open.map((range) => [partitionKey(range), range.index]));
  const events: { event: AcceptedEvent; position: string }[] = [];
  for (const slice of slices) {
    const index = indexOf.get(partitionKey(slice)) ?? NaN;
    for (const event of slice.events) {
      if (events.length === left) return { events, position: position(offsets) };
      offsets[index] = event.offset + 1;
      events.push({ event, position: position(offsets) });
    }
    offsets[index] = slice.next;
  }
  return { events, position: position(offsets) };
}
