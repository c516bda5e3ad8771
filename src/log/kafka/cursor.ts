/** Reads the encodings of Kafka's protocol. Reading past the end throws a RangeError. */
export class Cursor {
  readonly #bytes: Buffer;
  at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.at;
  }

  int8(): number {
    return this.#bytes.readInt8(this.#pass(1));
  }

  int16(): number {
    return this.#bytes.readInt16BE(this.#pass(2));
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.#pass(4));
  }

  uint32(): number {
    return this.#bytes.readUInt32BE(this.#pass(4));
  }

  /** Exact up to 2^53. */
  int64(): number {
    return Number(this.#bytes.readBigInt64BE(this.#pass(8)));
  }

  /** A signed number in seven bits a byte, the lowest first. Exact up to 2^53. */
  varint(): number {
    let zigzag = 0;
    for (let factor = 1; factor < 2 ** 70; factor *= 128) {
      const byte = this.#bytes.readUInt8(this.#pass(1));
      zigzag += (byte & 0x7f) * factor;
      if (byte < 0x80) return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
    }
    throw new RangeError('a number has no end');
  }

  bytes(length: number): Buffer {
    if (length < 0) throw new RangeError(`a length of ${length}`);
    const begin = this.#pass(length);
    return this.#bytes.subarray(begin, begin + length);
  }

  /** A length of -1 is null. */
  nullable(length: number): Buffer | null {
    return length === -1 ? null : this.bytes(length);
  }

  string(): string {
    return this.bytes(this.int16()).toString();
  }

  /** A negative count means no items. */
  array<T>(read: () => T): T[] {
    const list: T[] = [];
    for (let left = this.int32(); left > 0; left--) list.push(read());
    return list;
  }

  #pass(length: number): number {
    if (length > this.left) throw new RangeError('the bytes end too early');
    const before = this.at;
    this.at += length;
    return before;
  }
}
