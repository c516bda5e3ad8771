import DataLoader from 'dataloader';

/**
 * Combines requests that come in one turn of the event loop, or while `concurrency` calls are running, into one call. `all`
 * gets at most `maxSize` requests and answers each in its order. Nothing is cached.
 */
export function batch<Each, Answer>(
  all: (requests: readonly Each[]) => Promise<readonly Answer[]>,
  maxSize = 1_000,
  concurrency = 2,
): (each: Each) => Promise<Answer> {
  let running = 0;
  const waiting: (() => void)[] = [];
  const call = async (requests: readonly Each[]) => {
    running++;
    try {
      return await all(requests);
    } finally {
      running--;
      waiting.shift()?.();
    }
  };
  const batchScheduleFn = (send: () => void): void => {
    if (running < concurrency) setImmediate(send);
    else waiting.push(send);
  };
  const loader = new DataLoader(call, { cache: false, batchScheduleFn, maxBatchSize: maxSize });
  return (each) => loader.load(each);
}

/** The same for writes that have no result. */
export const batchWrites = <Each>(
  write: (rows: readonly Each[]) => Promise<unknown>,
  maxSize?: number,
  concurrency?: number,
) =>
  batch<Each, void>(
    async (rows) => {
      await write(rows);
      return rows.map(() => undefined);
    },
    maxSize,
    concurrency,
  );
