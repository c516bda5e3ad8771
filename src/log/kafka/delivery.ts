import type { EachBatchPayload } from 'kafkajs';
import { partitionKey } from '../../events/record.ts';
import { type Blank, lastOffsetOf } from '../entry.ts';
import type { Next, Slice, SubscriptionHandler } from '../event-log.ts';
import type { AssignedPartition } from './assignment.ts';
import type { FetchedMessage } from './fetch-response.ts';
import { slicesOf } from './slices.ts';

/** What a delivery asks of the subscription it belongs to. */
export interface DeliveryHost {
  readonly handler: Pick<SubscriptionHandler, 'deliver'>;
  readonly signal: AbortSignal;
  /** Whether the partition is still this member's, by the join under which the delivery began. */
  isCurrent(partition: AssignedPartition): boolean;
  /** The next fetch begins at the offset. */
  seek(partition: AssignedPartition, offset: number): void;
  /** No more fetches until the next join or `resume`. */
  pause(partition: AssignedPartition): void;
  /** The handler has everything below the offset. */
  reached(partition: AssignedPartition, offset: number): void;
}

/** Hands one fetched batch to the handler. What it throws leaves the rest of the batch to be fetched again. */
export async function deliverBatch(host: DeliveryHost, partition: AssignedPartition, payload: EachBatchPayload) {
  const { wanted } = partition;
  if (wanted === undefined || payload.isStale()) return;
  const messages: readonly FetchedMessage[] = payload.batch.messages;
  if (Number(messages[0]?.entry?.offset) > wanted && partition.askAgain()) {
    host.seek(partition, wanted);
    return;
  }
  // What begins elsewhere is shown as it is. Before the wanted offset: the log ended before it, if only for a moment, and
  // kafkajs has jumped to its beginning. After it: asked for in vain.
  await deliverSlices(host, partition, slicesOf(partition, wanted, messages), payload);
}

/** Hands a gap to the handler that reaches to the end of the partition: nothing follows it that would be fetched. */
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
  if (!answer) throw new Error(`the handler has not said where ${partitionKey(slice)} goes on`);
  return answer.next;
}

/** Does what the handler answered; true when it wants the slice after this one. */
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
  /** Whether the group wants this member to join again, or does not answer. */
  failed(): boolean;
}

/** kafkajs beats once more after the batch and deals with what fails then; the handler need not know. */
function createHeart({ heartbeat }: EachBatchPayload): Heart {
  let failed = false;
  return {
    beat: () => heartbeat().catch(() => void (failed = true)),
    failed: () => failed,
  };
}
