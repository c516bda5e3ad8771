/**
 * Settles as `work` does, or rejects after `ms` milliseconds with the error of `late`. The work itself goes on. `late` may be the
 * name of the work: the message is then "<name> took longer than <ms> ms".
 */
export async function within<T>(ms: number, late: string | (() => Error), work: Promise<T>): Promise<T> {
  const { promise: expired, reject } = Promise.withResolvers<never>();
  const errorOf = typeof late === 'string' ? () => new Error(`${late} took longer than ${ms} ms`) : late;
  const timer = setTimeout(() => reject(errorOf()), ms);
  try {
    return await Promise.race([work, expired]);
  } finally {
    clearTimeout(timer);
  }
}
