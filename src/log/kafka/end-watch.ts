import { partitionKey, type Position } from '../../events/record.ts';
import { pollUntil } from '../../concurrency/poll.ts';
import { type Blank, isBlank, missing } from '../entry.ts';
import type { AssignedPartition } from './assignment.ts';
import type { PartitionReader } from './reader.ts';

export interface EndWatchOptions {
  readonly reader: Pick<PartitionReader, 'read' | 'begins' | 'ends'>;
  /** The partitions assigned at the moment. */
  readonly partitions: () => readonly AssignedPartition[];
  /** Delivers the gap that begins at the wanted offset. */
  readonly found: (partition: AssignedPartition, gap: Blank) => Promise<void>;
  readonly onFailure: (error: unknown) => void;
  /** Fires when the subscription stops. A check that is running reports nothing then. */
  readonly signal: AbortSignal;
}

const LOOK_EVERY_MS = 2_000;

/**
 * Finds gaps that extend to the end of a partition. A fetch shows a gap only by the record after it. So a partition that waits for
 * the same offset as at the last check, although it does not end there, is read separately.
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

/** The gap from a position up to the end, if there is one: retention may have deleted all records there. */
async function gapAt(reader: EndWatchOptions['reader'], at: Position, end: number): Promise<Blank | undefined> {
  const [begin] = await reader.begins([at]);
  if (begin && begin.offset > at.offset) {
    return begin.offset >= end ? missing(at, at.offset, begin.offset - 1) : undefined;
  }
  const [first] = await reader.read(at, 1);
  return first && isBlank(first) && first.blank === 'missing' ? first : undefined;
}
