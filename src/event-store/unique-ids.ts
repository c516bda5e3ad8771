/** Finds record ids that occur more than once, in 8 bytes of memory for each id. */
export class UniqueIds {
  #halves = new BigUint64Array(1_024);
  #count = 0;

  add(id: string): void {
    if (this.#count === this.#halves.length) {
      const larger = new BigUint64Array(2 * this.#count);
      larger.set(this.#halves);
      this.#halves = larger;
    }
    this.#halves[this.#count++] = halfOf(id);
  }

  /** A test for ids whose second half was added more than once. It is all random, so different ids hardly ever share it. */
  repeated(): ((id: string) => boolean) | undefined {
    const sorted = this.#halves.subarray(0, this.#count).sort();
    const repeated = new Set(sorted.filter((half, at) => at > 0 && half === sorted[at - 1]));
    return repeated.size === 0 ? undefined : (id) => repeated.has(halfOf(id));
  }
}

/** The last 64 bits of a UUID. */
const halfOf = (id: string): bigint => BigInt(`0x${id.slice(19).replace('-', '')}`);
