/** How one list of songs became another. Positions count from 0. */
export interface ListDiff {
  /** Positions in the new list. */
  readonly added: readonly number[];
  /** Positions in the old list. */
  readonly removed: readonly number[];
  /** As few songs as possible that were moved among those that stayed, in the order of the new list. */
  readonly moved: readonly { readonly from: number; readonly to: number }[];
}

/** Compares two lists of ids. An id that is in both several times is compared one by one, in order. */
export function diffOfLists(from: readonly string[], to: readonly string[]): ListDiff {
  const places = new Map<string, number[]>();
  for (const [index, id] of from.entries()) places.set(id, [...(places.get(id) ?? []), index]);
  const [added, stayed] = [[] as number[], [] as { from: number; to: number }[]];
  for (const [index, id] of to.entries()) {
    const before = places.get(id)?.shift();
    if (before === undefined) added.push(index);
    else stayed.push({ from: before, to: index });
  }
  const inOrder = longestAscent(stayed.map((each) => each.from));
  return {
    added,
    removed: [...places.values()].flat().sort((one, other) => one - other),
    moved: stayed.filter((_, index) => !inOrder.has(index)),
  };
}

/** The indexes of one of the longest ascending parts of different numbers. */
function longestAscent(numbers: readonly number[]): ReadonlySet<number> {
  const before: (number | undefined)[] = [];
  /** By length: the index of the smallest number that ends an ascent so long. */
  const ends: number[] = [];
  for (const [index, number] of numbers.entries()) {
    const length = firstNotBelow(ends, number, numbers);
    before[index] = ends[length - 1];
    ends[length] = index;
  }
  const ascent = new Set<number>();
  for (let index = ends.at(-1); index !== undefined; index = before[index]) ascent.add(index);
  return ascent;
}

/** The first place in `ends` whose number is not below this one. */
function firstNotBelow(ends: readonly number[], number: number, numbers: readonly number[]): number {
  let [low, high] = [0, ends.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((numbers[ends[middle] ?? 0] ?? 0) < number) low = middle + 1;
    else high = middle;
  }
  return low;
}
