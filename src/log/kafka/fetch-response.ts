import { type BrokerError, handleError, refusal } from './broker-error.ts';
import { Cursor } from './cursor.ts';
import { BATCH_BYTES, BATCH_RECORDS, batchesIn, entriesOf, type RawEntry } from './record-batch.ts';

/** One entry as kafkajs passes it on. It uses only `offset`, and drops messages before the requested one. */
export interface FetchedMessage {
  /** For a blank its last offset, so that a blank is not dropped when the requested offset is in its middle. */
  readonly offset: string;
  readonly entry?: RawEntry;
  /** The broker's error for this offset. The entry is a blank with the same reason. */
  readonly error?: BrokerError;
}

/** The part of a request that is needed to decode its response. */
export interface FetchedFrom {
  readonly topics: readonly {
    readonly topic: string;
    readonly partitions: readonly { readonly partition: number; readonly fetchOffset: string }[];
  }[];
}

interface FetchedPartition {
  readonly partition: number;
  /** Not 0 only for errors that are left to kafkajs, which fails the fetch of all partitions. */
  readonly errorCode: number;
  readonly highWatermark: string;
  readonly abortedTransactions: [];
  readonly preferredReadReplica: number;
  readonly messages: FetchedMessage[];
}

interface FetchResponse {
  readonly throttleTime: number;
  readonly clientSideThrottleTime: number;
  readonly errorCode: number;
  readonly sessionId: number;
  readonly responses: { topicName: string; partitions: FetchedPartition[] }[];
}

/** The version of Kafka's fetch that is decoded here. Every broker since 2.3 supports it. */
export const FETCH_VERSION = 11;

/** The most that is unpacked of one response. A batch that begins within the budget is unpacked whole; later ones are fetched again. */
interface Budget {
  records: number;
  bytes: number;
}

/**
 * Decodes a response instead of kafkajs, which drops control batches, unpacks without a limit, and fails the fetch of all partitions
 * for one batch that it cannot read or that the broker answers with an error.
 */
export async function decodeFetchResponse(bytes: Buffer, asked: FetchedFrom): Promise<FetchResponse> {
  const cursor = new Cursor(bytes);
  const clientSideThrottleTime = cursor.int32();
  const [errorCode, sessionId] = [cursor.int16(), cursor.int32()];
  const found = cursor.array(() => ({
    topicName: cursor.string(),
    partitions: cursor.array(() => readPartition(cursor)),
  }));
  const budget: Budget = { records: BATCH_RECORDS, bytes: BATCH_BYTES };
  const others = found.some(({ partitions }) => partitions.some(({ packed }) => packed.length > 0));
  const responses: FetchResponse['responses'] = [];
  for (const { topicName, partitions } of found) {
    const decoded: FetchedPartition[] = [];
    for (const { packed, ...more } of partitions) {
      const handling = handleError(more.errorCode, { topic: topicName, partition: more.partition }, others);
      const messages = handling.error
        ? [refused(handling.error, offsetAsked(asked, topicName, more.partition))]
        : await decode(packed, budget);
      decoded.push({ ...more, errorCode: handling.errorCode, messages });
    }
    responses.push({ topicName, partitions: decoded });
  }
  return { throttleTime: 0, clientSideThrottleTime, errorCode, sessionId, responses };
}

function readPartition(cursor: Cursor) {
  const [partition, errorCode] = [cursor.int32(), cursor.int16()];
  const highWatermark = String(cursor.int64());
  cursor.int64(); // the last stable offset matters only to consumers that read committed
  cursor.int64(); // where the log begins
  cursor.array(() => [cursor.int64(), cursor.int64()]); // aborted transactions
  const preferredReadReplica = cursor.int32();
  const packed = cursor.bytes(Math.max(0, cursor.int32()));
  return { partition, errorCode, highWatermark, abortedTransactions: [] as [], preferredReadReplica, packed };
}

/** Stands for an offset that the broker answers with an error. The partition stops there as at a batch that cannot be read. */
const refused = (error: BrokerError, offset: number): FetchedMessage => ({
  offset: String(offset),
  error,
  entry: refusal(error, offset, offset),
});

function offsetAsked({ topics }: FetchedFrom, topicName: string, partition: number): number {
  const asked = topics.filter(({ topic }) => topic === topicName).flatMap(({ partitions }) => partitions);
  return Number(asked.find((each) => each.partition === partition)?.fetchOffset);
}

async function decode(packed: Buffer, budget: Budget): Promise<FetchedMessage[]> {
  const messages: FetchedMessage[] = [];
  for (const batch of batchesIn(packed)) {
    if (budget.records <= 0 || budget.bytes <= 0) break;
    const entries = await entriesOf(batch);
    for (const entry of entries) messages.push({ offset: String('blank' in entry ? entry.last : entry.offset), entry });
    budget.records -= entries.length;
    budget.bytes -= entries.reduce((sum, entry) => sum + sizeOf(entry), 0);
  }
  return messages;
}

const sizeOf = (entry: RawEntry): number =>
  'blank' in entry ? 0 : (entry.key?.length ?? 0) + (entry.value?.length ?? 0) + entry.headers.length;
