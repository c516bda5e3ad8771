import DataLoader from 'dataloader';

/** Calls under way: what is asked for meanwhile goes with the next one. */
const CONCURRENT_CALLS = 2;

/**
 * Puts together what is asked for at the same time, and while enough is under way: `all` gets as many as `most` in one call,
 * and answers each in their order. Nothing is remembered.
 */
export function batch<Each, Answer>(
  all: (asked: readonly Each[]) => Promise<readonly Answer[]>,
  most = 1_000,
): (each: Each) => Promise<Answer> {
  let underWay = 0;
  const waiting: (() => void)[] = [];
  const call = async (asked: readonly Each[]) => {
    underWay++;
    try {
      return await all(asked);
    } finally {
      underWay--;
      waiting.shift()?.();
    }
  };
  const batchScheduleFn = (send: () => void): void => {
    if (underWay < CONCURRENT_CALLS) setImmediate(send);
    else waiting.push(send);
  };
  const loader = new DataLoader(call, { cache: false, batchScheduleFn, maxBatchSize: most });
  return (each) => loader.load(each);
}

/** Puts together what is to be written at the same time. */
export const batchWrites = <Each>(write: (rows: readonly Each[]) => Promise<unknown>, most?: number) =>
  batch<Each, void>(async (rows) => {
    await write(rows);
    return rows.map(() => undefined);
  }, most);
