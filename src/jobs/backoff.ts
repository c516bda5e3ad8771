/** Pauses between attempts, in milliseconds. */
export interface Pauses {
  readonly firstMs: number;
  readonly mostMs: number;
}

/** Before the attempt after `failed` ones: anything up to twice as long each time, so that those who failed together do not come back together. */
export function backoffMs(
  { firstMs, mostMs }: Pauses,
  failed: number,
  kind: 'exponential' | 'fixed' | 'none' = 'exponential',
): number {
  switch (kind) {
    case 'none':
      return 0;
    case 'fixed':
      return firstMs;
    case 'exponential':
      return Math.random() * Math.min(mostMs, firstMs * 2 ** (failed - 1));
  }
}
