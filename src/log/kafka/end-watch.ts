import { partitionKey, type Position } from '../../events/record.ts';
import { pollUntil } from '../../concurrency/poll.ts';
import { type Blank, isBlank, missing } from '../entry.ts';
import type { AssignedPartition } from './assignment.ts';
import type { Reader } from './reader.ts';

export interface EndWatchOptions {
  readonly reader: Pick<Reader, 'read' | 'begins' | 'ends'>;
  /** Those assigned now. */
  readonly partitions: () => readonly AssignedPartition[];
  /** Hands over what is missing from the wanted offset on. */
  readonly found: (partition: AssignedPartition, gap: Blank) => Promise<void>;
  readonly onFailure: (error: unknown) => void;
  /** Fires when the subscription stops; a look that is under way finds nothing then. */
  readonly signal: AbortSignal;
}

const LOOK_EVERY_MS = 2_000;

/**
 * Finds gaps that reach to the end of a partition. A fetch shows a gap only by what comes after it. So a partition that waits for
 * the same offset as at the look before, although it does not end there, is read by itself.
 */
export async function watchEnds({ reader, partitions, found, onFailure, signal }: EndWatchOptions): Promise<void> {
  let before = new Map<AssignedPartition, number | undefined>();

  async function look(): Promise<void> {
    const waiting = partitions().flatMap((each) => {
      const offset = each.wanted;
      if (offset === undefined || before.get(each) !== offset) return [];
      return [{ each, at: { topic: each.topic, partition: each.partition, offset } }];
    });
    before = new Map(partitions().map((each) => [each, each.wanted]));
    const ends = new Map(
      (await reader.ends(waiting.map(({ at }) => at))).map((end) => [partitionKey(end), end.offset]),
    );
    for (const { each, at } of waiting) {
      const end = ends.get(partitionKey(at)) ?? 0;
      const gap = end > at.offset ? await gapAt(reader, at, end) : undefined;
      if (gap && !signal.aborted) await found(each, gap);
    }
  }

  await pollUntil(signal, look, { everyMs: LOOK_EVERY_MS, onFailure });
}

/** What is missing from a position up to the end, if anything is: all that was there may have been deleted from the beginning. */
async function gapAt(reader: EndWatchOptions['reader'], at: Position, end: number): Promise<Blank | undefined> {
  const [begin] = await reader.begins([at]);
  if (begin && begin.offset > at.offset) {
    return begin.offset >= end ? missing(at, at.offset, begin.offset - 1) : undefined;
  }
  const [first] = await reader.read(at, 1);
  return first && isBlank(first) && first.blank === 'missing' ? first : undefined;
}
