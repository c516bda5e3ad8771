/** Reads the dimensions from the headers of images. Nothing is decoded, and every byte is read at most once. */

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Undefined when the bytes are no image of the format. May throw a RangeError when they end too soon. */
export type Measure = (bytes: Buffer) => Size | undefined;

const isAt = (bytes: Buffer, text: string, at: number) => bytes.toString('latin1', at, at + text.length) === text;

/** The size that contains both, for which a browser allocates memory. */
const enclosing = (one: Size, other: Size): Size => ({
  width: Math.max(one.width, other.width),
  height: Math.max(one.height, other.height),
});

export const measurePng: Measure = (bytes) =>
  isAt(bytes, '\x89PNG\r\n\x1a\n', 0) && isAt(bytes, 'IHDR', 12)
    ? { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) }
    : undefined;

/** Frame markers, which carry the size: C0 to CF except those for tables and codes. */
const isFrame = (marker: number) => marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
/** Markers without a length. */
const isAlone = (marker: number) => marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8);

/** Markers after which no frame can begin: pixel data, and the end. */
const isTooLate = (marker: number) => marker === 0xda || marker === 0xd9;

export const measureJpeg: Measure = (bytes) => {
  if (!isAt(bytes, '\xff\xd8', 0)) return undefined;
  for (let at = markerFrom(bytes, 2); ; at = markerFrom(bytes, at)) {
    const marker = bytes.readUInt8(at + 1);
    if (isFrame(marker)) return { width: bytes.readUInt16BE(at + 7), height: bytes.readUInt16BE(at + 5) };
    if (isTooLate(marker)) return undefined;
    at += isAlone(marker) ? 2 : 2 + bytes.readUInt16BE(at + 2);
  }
};

/** Finds the next marker. Some cameras leave bytes between segments; like libjpeg, this skips them up to an FF that is followed by neither 0 nor FF. */
function markerFrom(bytes: Buffer, start: number): number {
  for (let at = start; ; at++) {
    if (bytes.readUInt8(at) !== 0xff) continue;
    const marker = bytes.readUInt8(at + 1);
    if (marker !== 0x00 && marker !== 0xff) return at;
  }
}

/** The size that contains a GIF's screen and all its frames: browsers allocate memory for a first frame larger than the screen. */
export const measureGif: Measure = (bytes) => {
  if (!isAt(bytes, 'GIF87a', 0) && !isAt(bytes, 'GIF89a', 0)) return undefined;
  let size = { width: bytes.readUInt16LE(6), height: bytes.readUInt16LE(8) };
  for (let at = 13 + colorTable(bytes.readUInt8(10)); ;) {
    const kind = bytes[at];
    if (kind === 0x2c) {
      const frame = { width: bytes.readUInt16LE(at + 5), height: bytes.readUInt16LE(at + 7) };
      size = enclosing(size, frame);
      at = afterBlocks(bytes, at + 11 + colorTable(bytes.readUInt8(at + 9)));
    } else if (kind === 0x21) at = afterBlocks(bytes, at + 2);
    else return size;
  }
};

const colorTable = (flags: number): number => (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0);

function afterBlocks(bytes: Buffer, start: number): number {
  let at = start;
  for (let length = bytes[at]; length; length = bytes[at]) at += 1 + length;
  return at + 1;
}

export const measureWebp: Measure = (bytes) => {
  if (!isAt(bytes, 'RIFF', 0) || !isAt(bytes, 'WEBP', 8)) return undefined;
  switch (bytes.toString('latin1', 12, 16)) {
    case 'VP8 ':
      if (!isAt(bytes, '\x9d\x01\x2a', 23)) return undefined;
      return { width: bytes.readUInt16LE(26) & 0x3fff, height: bytes.readUInt16LE(28) & 0x3fff };
    case 'VP8L': {
      if (bytes.readUInt8(20) !== 0x2f) return undefined;
      const both = bytes.readUInt32LE(21);
      return { width: 1 + (both & 0x3fff), height: 1 + ((both >> 14) & 0x3fff) };
    }
    case 'VP8X':
      return { width: 1 + bytes.readUIntLE(24, 3), height: 1 + bytes.readUIntLE(27, 3) };
    default:
      return undefined;
  }
};

/** The largest size among the properties of an AVIF's pictures, which are in nested boxes. */
export const measureAvif: Measure = (bytes) => {
  const brands = boxIn(bytes, { start: 0, end: bytes.length }, 'ftyp');
  if (!brands || !/^(?:.{4})*avi[fs]/s.test(bytes.toString('latin1', brands.start, brands.end))) return undefined;
  let within: Stretch | undefined = { start: 0, end: bytes.length };
  for (const [type, head] of [
    ['meta', 4],
    ['iprp', 0],
    ['ipco', 0],
  ] as const) {
    const box: Stretch | undefined = within && boxIn(bytes, within, type);
    within = box && { start: box.start + head, end: box.end };
  }
  let size: Size | undefined;
  for (const { type, start } of within ? boxes(bytes, within) : []) {
    if (type !== 'ispe') continue;
    const each = { width: bytes.readUInt32BE(start + 4), height: bytes.readUInt32BE(start + 8) };
    size = size ? enclosing(size, each) : each;
  }
  return size;
};

interface Stretch {
  readonly start: number;
  readonly end: number;
}

function boxIn(bytes: Buffer, stretch: Stretch, wanted: string): Stretch | undefined {
  for (const box of boxes(bytes, stretch)) if (box.type === wanted) return box;
  return undefined;
}

function* boxes(bytes: Buffer, { start, end }: Stretch): Generator<Stretch & { type: string }> {
  for (let at = start; at + 8 <= end;) {
    const { head, size } = extentOf(bytes, at);
    if (size < head || at + size > end) return;
    yield { type: bytes.toString('latin1', at + 4, at + 8), start: at + head, end: at + size };
    at += size;
  }
}

/** Bytes of the head of a box, and of the whole box. A size of 1 means that a 64-bit size follows, 0 that the box extends to the end of the file. */
function extentOf(bytes: Buffer, at: number): { head: number; size: number } {
  const size = bytes.readUInt32BE(at);
  if (size === 1) return { head: 16, size: Number(bytes.readBigUInt64BE(at + 8)) };
  return { head: 8, size: size === 0 ? bytes.length - at : size };
}
