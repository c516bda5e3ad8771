import DataLoader from 'dataloader';

/**
 * Puts together what is asked for at the same time: `all` gets as many as `most` of them in one call, and answers each in
 * their order. Nothing is remembered.
 */
export function together<Each, Answer>(
  all: (asked: readonly Each[]) => Promise<readonly Answer[]>,
  most = 1_000,
): (each: Each) => Promise<Answer> {
  const loader = new DataLoader(all, { cache: false, batchScheduleFn: setImmediate, maxBatchSize: most });
  return (each) => loader.load(each);
}

/** Puts together what is to be written at the same time. */
export const writtenTogether = <Each>(write: (rows: readonly Each[]) => Promise<unknown>, most?: number) =>
  together<Each, void>(async (rows) => {
    await write(rows);
    return rows.map(() => undefined);
  }, most);
