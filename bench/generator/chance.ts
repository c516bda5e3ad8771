/** Everything random in a generated log comes from here, so that one seed always gives the same log. */
export interface Chance {
  /** A number from 0 to count - 1. */
  below(count: number): number;
  pick<T>(items: readonly [T, ...T[]]): T;
  /** Undefined when there are none. */
  any<T>(items: readonly T[]): T | undefined;
  /** Sixteen bytes, overwritten by the next call. */
  bytes(): Uint8Array;
}

/** mulberry32. */
export function createChance(seed: number): Chance {
  let state = seed | 0;
  const words = new Uint32Array(4);
  const bytes = new Uint8Array(words.buffer);
  const word = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  };
  const below = (count: number) => Math.floor((word() / 2 ** 32) * count);
  return {
    below,
    any: (items) => items[below(items.length)],
    pick: (items) => items[below(items.length)] ?? items[0],
    bytes() {
      for (let at = 0; at < words.length; at++) words[at] = word();
      return bytes;
    },
  };
}
