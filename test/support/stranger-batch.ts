import { crc32c } from '@node-rs/crc32';
import { createRequire } from 'node:module';
import type { LogRecord, TopicPartition } from '../../src/events/record.ts';
import type { KafkaClient } from '../../src/log/kafka/client.ts';
import { createCluster } from '../../src/log/kafka/cluster.ts';

/** A batch as another client writes it, well formed or not. */
export interface StrangerBatch {
  /** 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd; with 0x30 more a marker. */
  readonly codec?: number;
  readonly count: number;
  /** The delta of its last record; the number of records, unless some were compacted away. */
  readonly lastOffsetDelta?: number;
  /** The records, packed with the codec. */
  readonly packed: Buffer;
}

/** The records of a batch before they are packed. */
export const plainRecords = (records: readonly LogRecord[]): Buffer =>
  Buffer.concat(records.map((record, delta) => plainRecord(record, delta)));

const plainRecord = ({ key, value, headers }: LogRecord, delta: number): Buffer =>
  packRecord({ key, value, headers: Object.entries(headers) }, delta);

/** A record as any client may write it: without a key or a value, with a header twice, or with bytes that are not text. */
export interface StrangerRecord {
  readonly key: string | Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly (readonly [name: string, value: string | Buffer | null])[];
}

export function packRecord({ key, value, headers }: StrangerRecord, delta = 0): Buffer {
  const pairs = headers.flatMap(([name, text]) => [sized(name), sized(text)]);
  const body = [Buffer.of(0), varint(0), varint(delta), sized(key), sized(value), varint(headers.length), ...pairs];
  return sized(Buffer.concat(body));
}

const NULL = Buffer.of(1); // a length of -1

function sized(part: string | Buffer | null): Buffer {
  if (part === null) return NULL;
  const bytes = Buffer.from(part);
  return Buffer.concat([varint(bytes.length), bytes]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value * 2;
  for (; left > 0x7f; left = Math.floor(left / 128)) bytes.push((left % 128) | 0x80);
  return Buffer.of(...bytes, left);
}

/** The batch as it is in the log, from an offset on; a producer leaves the offset to the broker. */
export function batchBytes(
  { codec = 0, count, packed, lastOffsetDelta = count - 1 }: StrangerBatch,
  offset = 0,
): Buffer {
  const checked = Buffer.alloc(40);
  checked.writeInt16BE(codec, 0);
  checked.writeInt32BE(lastOffsetDelta, 2);
  for (const at of [6, 14]) checked.writeBigInt64BE(BigInt(Date.now()), at);
  checked.writeBigInt64BE(-1n, 22); // no producer id
  checked.writeInt16BE(-1, 30);
  checked.writeInt32BE(-1, 32);
  checked.writeInt32BE(count, 36);
  const body = Buffer.concat([checked, packed]);
  const head = Buffer.alloc(21);
  head.writeBigInt64BE(BigInt(offset), 0);
  head.writeInt32BE(body.length + 9, 8);
  head.writeInt32BE(-1, 12);
  head.writeInt8(2, 16);
  head.writeUInt32BE(crc32c(body), 17);
  return Buffer.concat([head, body]);
}

/** The parts of kafkajs's own encoder that are used here. */
interface Writer {
  writeString(value: string | null): Writer;
  writeInt16(value: number): Writer;
  writeInt32(value: number): Writer;
  writeArray(values: readonly Writer[]): Writer;
  writeBuffer(value: Buffer): Writer;
  writeEncoder(value: Writer): Writer;
}

const load = createRequire(import.meta.url);
const Encoder = load('kafkajs/src/protocol/encoder') as new () => Writer;
const response = load('kafkajs/src/protocol/requests/produce/v7/response') as object;

function encode({ topic, partition }: TopicPartition, batch: StrangerBatch): Writer {
  const bytes = batchBytes(batch);
  const records = new Encoder().writeInt32(partition).writeInt32(bytes.length).writeBuffer(bytes);
  const topics = new Encoder().writeString(topic).writeArray([records]);
  return new Encoder().writeString(null).writeInt16(-1).writeInt32(5_000).writeArray([topics]);
}

/** Appends a batch unchanged; rejects when the broker refuses it. */
export async function produceBatch({ kafka }: KafkaClient, where: TopicPartition, batch: StrangerBatch): Promise<void> {
  const cluster = createCluster(kafka);
  await cluster.connect();
  await cluster.addMultipleTargetTopics([where.topic]);
  const [nodeId = ''] = Object.keys(cluster.findLeaderForPartitions(where.topic, [where.partition]));
  const broker = (await cluster.findBroker({ nodeId })) as unknown as Connected;
  const shape = { apiKey: 0, apiVersion: 7, apiName: 'Produce', expectResponse: () => true };
  const request = { ...shape, encode: () => Promise.resolve(encode(where, batch)) };
  await broker.connectionPool.send({ request, response }).finally(() => cluster.disconnect());
}

interface Connected {
  readonly connectionPool: { send(protocol: object): Promise<unknown> };
}
