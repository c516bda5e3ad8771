/** The median of several runs, and their extremes. */
export interface Summary {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

export function summarise(values: readonly number[]): Summary {
  if (values.length === 0) throw new Error('There is nothing to summarise.');
  const sorted = values.toSorted((a, b) => a - b);
  return { median: medianOf(sorted), low: sorted[0] ?? NaN, high: sorted.at(-1) ?? NaN };
}

function medianOf(sorted: readonly number[]): number {
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)] ?? NaN;
  return Number.isInteger(middle) ? ((sorted[middle - 1] ?? NaN) + upper) / 2 : upper;
}

/** The ratio of each run to the run of the other in the same round, so that what slows down both cancels out. */
export function ratios(ours: readonly number[], limit: readonly number[]): number[] {
  if (ours.length !== limit.length) throw new Error(`${ours.length} runs cannot be compared with ${limit.length}.`);
  return ours.map((value, round) => value / (limit[round] ?? NaN));
}
