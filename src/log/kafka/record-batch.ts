import { crc32c } from '@node-rs/crc32';
import { reasonOf } from '../../errors.ts';
import { type Blank, gap } from '../entry.ts';
import { unpack } from './codecs.ts';
import { Cursor } from './cursor.ts';

/** A record as it is stored in a batch. */
export interface RawRecord {
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  /** Encoded names and values. They are decoded only when the record is delivered. */
  readonly headers: Buffer;
}

/** An entry without its topic and partition. */
export type RawBlank = Omit<Blank, 'topic' | 'partition'>;
export type RawEntry = RawRecord | RawBlank;

/** A larger batch counts as unreadable, because memory needs a limit. No writer of ours comes near it. */
export const BATCH_RECORDS = 100_000;
export const BATCH_BYTES = 64 * 2 ** 20;

/** One batch of a partition: the fields of its header, and its packed records. */
export interface RecordBatch {
  readonly base: number;
  readonly leaderEpoch: number;
  readonly magic: number;
  readonly isSound: boolean;
  readonly attributes: number;
  readonly lastOffsetDelta: number;
  readonly count: number;
  readonly packed: Buffer;
}

/** The base offset and the length itself, which the length does not include. */
const PREFIX_BYTES = 12;
/** The checksum covers a batch from here to its end. */
const CRC_BEGINS = 21;
const HEADER_BYTES = 61;
const MAGIC_AT = 16;
const CURRENT_MAGIC = 2;
const CODEC = 0x07;
const CONTROL = 0x20;

/**
 * The complete batches: a fetch can end within one. If a batch is damaged its length may be wrong too, so the bytes after it count as
 * a batch only if that is intact; otherwise they are fetched separately.
 */
export function batchesIn(bytes: Buffer): RecordBatch[] {
  const batches: RecordBatch[] = [];
  for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
    const end = at + PREFIX_BYTES + Math.max(bytes.readInt32BE(at + 8), HEADER_BYTES - PREFIX_BYTES);
    if (end > bytes.length) break;
    const [before, batch] = [batches.at(-1), readHeader(bytes.subarray(at, end))];
    if (before?.isSound === false && !batch.isSound) break;
    batches.push(batch);
    at = end;
  }
  return batches;
}

function readHeader(bytes: Buffer): RecordBatch {
  const cursor = new Cursor(bytes);
  const base = cursor.int64();
  cursor.at = PREFIX_BYTES;
  const leaderEpoch = cursor.int32();
  const magic = bytes.readInt8(MAGIC_AT);
  cursor.at = MAGIC_AT + 1;
  const isSound = cursor.uint32() === crc32c(bytes.subarray(CRC_BEGINS));
  const [attributes, lastOffsetDelta] = [cursor.int16(), cursor.int32()];
  cursor.at = HEADER_BYTES - 4;
  const count = cursor.int32();
  return {
    base,
    leaderEpoch,
    magic,
    isSound,
    attributes,
    lastOffsetDelta,
    count,
    packed: bytes.subarray(HEADER_BYTES),
  };
}

/** The entries at the batch's offsets, without a gap. Never rejects. */
export async function entriesOf(batch: RecordBatch): Promise<RawEntry[]> {
  const fault = faultOf(batch);
  if (fault !== undefined) return [blankOf(batch, 'unreadable', fault)];
  if ((batch.attributes & CONTROL) > 0) return [blankOf(batch, 'control', "a transaction's marker")];
  try {
    return recordsOf(batch, await unpack(batch.attributes & CODEC, batch.packed, BATCH_BYTES));
  } catch (error) {
    return [blankOf(batch, 'unreadable', reasonOf(error))];
  }
}

function faultOf({ magic, isSound, count }: RecordBatch): string | undefined {
  if (magic !== CURRENT_MAGIC) return `its format is ${magic}, which no client of this decade writes`;
  if (!isSound) return 'its checksum is wrong';
  if (count > BATCH_RECORDS) return `it has ${count} records, more than ${BATCH_RECORDS}`;
  return undefined;
}

function blankOf(batch: RecordBatch, blank: Blank['blank'], why: string): RawBlank {
  const { base: offset, leaderEpoch } = batch;
  const last = lastOf(batch);
  const reason = blank === 'unreadable' ? `the batch of offsets ${offset} to ${last} cannot be read: ${why}` : why;
  return { blank, offset, last, leaderEpoch, reason };
}

/** The last offset in a damaged header is used only where the record count agrees with it. */
function lastOf({ base, isSound, magic, lastOffsetDelta, count }: RecordBatch): number {
  const isTold = magic === CURRENT_MAGIC && (isSound || count === lastOffsetDelta + 1);
  return base + (isTold ? Math.max(0, lastOffsetDelta) : 0);
}

function recordsOf(batch: RecordBatch, plain: Buffer): RawEntry[] {
  const cursor = new Cursor(plain);
  const entries: RawEntry[] = [];
  let next = batch.base;
  for (let read = 0; read < batch.count; read++) {
    const record = readRecord(batch, cursor);
    if (record.offset < next) throw new Error(`offset ${record.offset} comes after ${next - 1}`);
    entries.push(record);
    next = record.offset + 1;
  }
  if (cursor.left > 0) throw new Error(`${cursor.left} bytes follow its last record`);
  const last = lastOf(batch);
  if (next > last + 1) throw new Error(`offset ${next - 1} is past its end, ${last}`);
  if (next <= last) entries.push(gap(next, last, batch.leaderEpoch)); // compaction removes records and leaves their offsets unused
  return entries;
}

function readRecord({ base, leaderEpoch }: RecordBatch, cursor: Cursor): RawRecord {
  const length = cursor.varint();
  const end = cursor.at + length;
  cursor.int8(); // attributes of a record are not used
  cursor.varint(); // its time
  const offset = base + cursor.varint();
  const key = cursor.nullable(cursor.varint());
  const value = cursor.nullable(cursor.varint());
  const headers = packedHeaders(cursor);
  if (cursor.at !== end) throw new Error(`the record at offset ${offset} is not as long as it says`);
  return { offset, leaderEpoch, key, value, headers };
}

function packedHeaders(cursor: Cursor): Buffer {
  const begin = cursor.at;
  for (let left = cursor.varint(); left > 0; left--) {
    cursor.bytes(cursor.varint());
    cursor.nullable(cursor.varint());
  }
  const bytes = cursor.at - begin;
  cursor.at = begin;
  return cursor.bytes(bytes);
}

/** The headers in their order. A name can occur twice. */
export function headersOf({ headers }: RawRecord): [name: string, value: string][] {
  const cursor = new Cursor(headers);
  const pairs: [string, string][] = [];
  for (let left = cursor.varint(); left > 0; left--) {
    pairs.push([cursor.bytes(cursor.varint()).toString(), cursor.nullable(cursor.varint())?.toString() ?? '']);
  }
  return pairs;
}
