/** Runs work of the same name one after the other, and work of different names concurrently. */
export function createQueues(): <T>(name: string, work: () => Promise<T>) => Promise<T> {
  const tails = new Map<string, Promise<unknown>>();
  return (name, work) => {
    const before = tails.get(name);
    const result = before ? before.then(work, work) : work();
    tails.set(name, result);
    const forget = () => {
      if (tails.get(name) === result) tails.delete(name);
    };
    result.then(forget, forget);
    return result;
  };
}
