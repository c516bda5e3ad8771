import type { EachBatchPayload } from 'kafkajs';
import { partitionKey } from '../../events/record.ts';
import { type Blank, lastOffsetOf } from '../entry.ts';
import type { Next, Slice, SubscriptionHandler } from '../event-log.ts';
import type { AssignedPartition } from './assignment.ts';
import type { FetchedMessage } from './fetch-response.ts';
import { slicesOf } from './slices.ts';

/** The part of its subscription that a delivery uses. */
export interface DeliveryHost {
  readonly handler: Pick<SubscriptionHandler, 'deliver'>;
  readonly signal: AbortSignal;
  /** Whether no join has replaced the assignment under which the delivery began. */
  isCurrent(partition: AssignedPartition): boolean;
  /** The next fetch begins at the offset. */
  seek(partition: AssignedPartition, offset: number): void;
  /** No more fetches until the next join or `resume`. */
  pause(partition: AssignedPartition): void;
  /** The handler has handled everything below the offset. */
  reached(partition: AssignedPartition, offset: number): void;
}

/** Delivers one fetched batch to the handler. After an error the rest of the batch is fetched again. */
export async function deliverBatch(host: DeliveryHost, partition: AssignedPartition, payload: EachBatchPayload) {
  const { wanted } = partition;
  if (wanted === undefined || payload.isStale()) return;
  const messages: readonly FetchedMessage[] = payload.batch.messages;
  if (Number(messages[0]?.entry?.offset) > wanted && partition.askAgain()) {
    host.seek(partition, wanted);
    return;
  }
  // A batch that begins elsewhere is delivered as it is. If it begins before the wanted offset, the log ended before that, perhaps
  // only for a moment, and kafkajs has jumped to the log's beginning. If it begins after it, seeking did not help.
  await deliverSlices(host, partition, slicesOf(partition, wanted, messages), payload);
}

/** Delivers a gap that extends to the end of the partition, where no later record would be fetched. */
export async function deliverGap(host: DeliveryHost, partition: AssignedPartition, gap: Blank): Promise<void> {
  const { topic } = partition;
  const slice: Slice = { topic, partition: partition.partition, records: [gap] };
  const next = await deliverSlice(host, slice, { beat: () => Promise.resolve() });
  if (!host.isCurrent(partition)) return;
  follow(host, partition, slice, next, { resolveOffset: (last) => host.seek(partition, Number(last) + 1) });
}

async function deliverSlices(
  host: DeliveryHost,
  partition: AssignedPartition,
  slices: Iterable<Slice>,
  payload: EachBatchPayload,
): Promise<void> {
  const heart = createHeart(payload);
  for (const slice of slices) {
    const next = await deliverSlice(host, slice, heart);
    if (!host.isCurrent(partition) || !follow(host, partition, slice, next, payload)) return;
    await heart.beat();
    if (heart.failed() || host.signal.aborted || payload.isStale()) return;
  }
}

async function deliverSlice(
  { handler, signal }: DeliveryHost,
  slice: Slice,
  heart: Pick<Heart, 'beat'>,
): Promise<Next['next']> {
  const answers = await handler.deliver([slice], { signal, heartbeat: heart.beat });
  const answer = answers.find((each) => partitionKey(each) === partitionKey(slice));
  if (!answer) throw new Error(`the handler did not return the next offset of ${partitionKey(slice)}`);
  return answer.next;
}

/** Applies the handler's answer. True when it wants the slice after this one. */
function follow(
  host: DeliveryHost,
  partition: AssignedPartition,
  { records }: Slice,
  next: Next['next'],
  { resolveOffset }: Pick<EachBatchPayload, 'resolveOffset'>,
): boolean {
  const last = lastOffsetOf(records.at(-1) ?? records[0]);
  partition.want(next === 'stopped' ? undefined : next);
  if (next === 'stopped') host.pause(partition);
  else if (next !== last + 1) host.seek(partition, next);
  else resolveOffset(String(last));
  if (next !== 'stopped') host.reached(partition, next);
  return next === last + 1;
}

interface Heart {
  beat(): Promise<void>;
  /** Whether a heartbeat failed: the group wants this member to join again, or does not answer. */
  failed(): boolean;
}

/** Hides failures from the handler, because kafkajs sends another heartbeat after the batch and handles its failure. */
function createHeart({ heartbeat }: EachBatchPayload): Heart {
  let failed = false;
  return {
    beat: () => heartbeat().catch(() => void (failed = true)),
    failed: () => failed,
  };
}
