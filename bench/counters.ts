import { get } from './requests.ts';

export interface Counted<T> {
  readonly done: T;
  /** The growth of each counter, in the order of their names. */
  readonly grown: readonly number[];
}

/** Runs `work` and returns by how much these counters grew meanwhile, summed over all processes and labels. */
export async function counting<T>(
  urls: readonly string[],
  counters: readonly string[],
  work: () => Promise<T>,
): Promise<Counted<T>> {
  const before = await standOf(urls, counters);
  const done = await work();
  const after = await standOf(urls, counters);
  return { done, grown: after.map((value, index) => value - (before[index] ?? NaN)) };
}

async function standOf(urls: readonly string[], counters: readonly string[]): Promise<number[]> {
  const answers = await Promise.all(urls.map((url) => get(url, '/metrics')));
  const text = answers.map((answer) => answer.text).join('\n');
  return counters.map((counter) => {
    const lines = text.matchAll(new RegExp(`^${counter}(?:{.*})? (\\S+)$`, 'gm'));
    return Array.from(lines, ([, value]) => Number(value)).reduce((sum, value) => sum + value, 0);
  });
}
