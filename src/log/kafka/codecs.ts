import { promisify } from 'node:util';
import { constants, gunzip, zstdDecompress } from 'node:zlib';
import { decompressFrame } from 'lz4-napi';
import { uncompress } from 'snappy';

/** Rejects data that cannot be unpacked, and data that would unpack to more than `limit` bytes before that memory is allocated. */
type Unpack = (packed: Buffer, limit: number) => Promise<Buffer>;

const fromGzip = promisify(gunzip);
const fromZstd = promisify(zstdDecompress);

/** A window of 64 MiB: the memory that a frame may make us allocate before its first byte. */
const ZSTD_WINDOW_LOG = 26;

/** By the codec's number in the attributes of a batch. */
const CODECS: Readonly<Record<number, Unpack>> = {
  0: (plain) => Promise.resolve(plain),
  1: (packed, limit) => fromGzip(packed, { maxOutputLength: limit }),
  2: unpackSnappy,
  3: unpackLz4,
  4: (packed, limit) =>
    fromZstd(packed, { maxOutputLength: limit, params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG } }),
};

export async function unpack(codec: number, packed: Buffer, limit: number): Promise<Buffer> {
  const unpackWith = CODECS[codec];
  if (!unpackWith) throw new Error(`there is no codec ${codec}`);
  const plain = await unpackWith(packed, limit);
  if (plain.length > limit) throw tooMuch(limit);
  return plain;
}

const tooMuch = (limit: number) => new Error(`it unpacks to more than ${limit} bytes`);

/** Kafka's Java clients frame snappy with this magic, two versions, and blocks with their lengths. librdkafka writes one bare block. */
const XERIAL = Buffer.from([0x82, ...Buffer.from('SNAPPY'), 0]);
const XERIAL_HEADER_BYTES = 16;

async function unpackSnappy(packed: Buffer, limit: number): Promise<Buffer> {
  const blocks = packed.subarray(0, XERIAL.length).equals(XERIAL) ? xerialBlocks(packed) : [packed];
  const declared = blocks.map(declaredLength).reduce((sum, bytes) => sum + bytes, 0);
  if (declared > limit) throw tooMuch(limit);
  const plain = await Promise.all(blocks.map((block) => uncompress(block, { asBuffer: true })));
  return Buffer.concat(plain.filter((block) => typeof block !== 'string'));
}

function xerialBlocks(packed: Buffer): Buffer[] {
  const blocks: Buffer[] = [];
  for (let at = XERIAL_HEADER_BYTES; at < packed.length;) {
    const begin = at + 4;
    const end = begin + packed.readUInt32BE(at);
    if (end > packed.length) throw new Error('a block of snappy is cut short');
    blocks.push(packed.subarray(begin, end));
    at = end;
  }
  return blocks;
}

/** A snappy block begins with its unpacked length: seven bits a byte, the lowest first. */
function declaredLength(block: Buffer): number {
  let length = 0;
  for (let at = 0; at < 5; at++) {
    const byte = block.readUInt8(at);
    length += (byte & 0x7f) * 2 ** (7 * at);
    if (byte < 0x80) return length;
  }
  throw new Error('a block of snappy declares no length');
}

const LZ4_MAGIC = 0x184d2204;
/** Mask of a block's length. The bit above it says that the block is not compressed. */
const LZ4_LENGTH = 0x7fffffff;
/** The most bytes that one byte of a compressed block can yield. */
const LZ4_MAX_RATIO = 255;

async function unpackLz4(packed: Buffer, limit: number): Promise<Buffer> {
  const { maxBytes, largestBlock } = boundOfLz4(packed);
  if (maxBytes > limit + largestBlock) throw tooMuch(limit); // the last block is seldom full
  return decompressFrame(packed);
}

/** An upper bound of a frame's unpacked size, from its blocks: a frame need not declare its size, and could declare a wrong one. */
function boundOfLz4(frame: Buffer): { maxBytes: number; largestBlock: number } {
  if (frame.readUInt32LE(0) !== LZ4_MAGIC) throw new Error('it is no frame of lz4');
  const flags = frame.readUInt8(4);
  const largestBlock = 2 ** (8 + 2 * ((frame.readUInt8(5) >> 4) & 7));
  const checksumBytes = (flags & 0x10) > 0 ? 4 : 0;
  let maxBytes = 0;
  for (let at = 7 + ((flags & 0x08) > 0 ? 8 : 0) + ((flags & 0x01) > 0 ? 4 : 0); ;) {
    const word = frame.readUInt32LE(at);
    if (word === 0) return { maxBytes, largestBlock };
    const bytes = word & LZ4_LENGTH;
    maxBytes += word > LZ4_LENGTH ? bytes : Math.min(largestBlock, LZ4_MAX_RATIO * bytes);
    at += 4 + bytes + checksumBytes;
  }
}
