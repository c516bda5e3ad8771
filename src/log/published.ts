import type { Position, TopicPartition } from '../events/record.ts';
import { isBlank, type LogEntry } from './entry.ts';
import type { EventLog } from './event-log.ts';

/** The topic that publishes the accepted events of an event topic. */
export const publishedTopicOf = (namespace: string, topic: string): string =>
  `${namespace}.published.${topic.slice(namespace.length + 1)}`;

/** The end of a published partition, and the offset in the log after which to go on. */
export interface PublishedTail {
  readonly end: number;
  /** No event from this offset of the source on is published. */
  readonly next: number;
}

const WINDOW = 500;
const READ_BYTES = 4 * 2 ** 20;

/**
 * Reads the end of a published partition. The last record need not have the greatest source offset, because a publisher that was
 * taken for dead can repeat some; so it is the greatest of the last records. A smaller one than the greatest of all does no harm: what
 * follows it is published again.
 */
export async function publishedTail(
  log: Pick<EventLog, 'begins' | 'ends' | 'read'>,
  target: TopicPartition,
): Promise<PublishedTail> {
  const [end = 0] = (await log.ends([target])).map(({ offset }) => offset);
  const [begin = 0] = (await log.begins([target])).map(({ offset }) => offset);
  for (let size = WINDOW, until = end; until > begin; size *= 2) {
    const from = Math.max(begin, end - size);
    const found = await greatestSource(log, { ...target, offset: from }, until);
    if (found !== undefined) return { end, next: found + 1 };
    until = from;
  }
  return { end, next: 0 };
}

async function greatestSource(log: Pick<EventLog, 'read'>, from: Position, until: number): Promise<number | undefined> {
  let greatest: number | undefined;
  for (let offset = from.offset; offset < until;) {
    const entries = await log.read({ ...from, offset }, { maxBytes: READ_BYTES });
    for (const entry of entries) {
      const source = sourceOf(entry);
      if (source !== undefined && source >= (greatest ?? 0)) greatest = source;
      offset = (isBlank(entry) ? entry.last : entry.offset) + 1;
    }
    if (entries.length === 0) break;
  }
  return greatest;
}

/** The source offset that a published record names; undefined for a record of others. */
function sourceOf(entry: LogEntry): number | undefined {
  if (isBlank(entry)) return undefined;
  try {
    const { sourceoffset } = JSON.parse(entry.value.toString()) as { sourceoffset?: unknown };
    return typeof sourceoffset === 'number' && Number.isSafeInteger(sourceoffset) ? sourceoffset : undefined;
  } catch {
    return undefined;
  }
}
