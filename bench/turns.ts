import type { Plan, Series } from './figure.ts';

/** The values of one turn, by name. */
export type Sample = Readonly<Record<string, number>>;

/** One of those that take turns. */
export interface Contestant {
  readonly name: string;
  run(): Promise<Sample>;
}

/** All samples of a contestant, in the order of the rounds. */
export interface Outcome {
  readonly name: string;
  readonly samples: readonly Sample[];
}

/** Runs A B C, A B C, …, so that a change of the machine's speed affects all of them. */
export async function takeTurns(contestants: readonly Contestant[], { rounds, say }: Plan): Promise<Outcome[]> {
  const outcomes = contestants.map(({ name }) => ({ name, samples: new Array<Sample>() }));
  for (let round = 1; round <= rounds; round++) {
    for (const [index, contestant] of contestants.entries()) {
      const sample = await contestant.run();
      say(`  ${round}/${rounds} ${contestant.name}: ${showSample(sample)}`);
      outcomes[index]?.samples.push(sample);
    }
  }
  return outcomes;
}

const showSample = (sample: Sample): string =>
  Object.entries(sample)
    .map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`)
    .join(', ');

/** One value of each sample. */
export const seriesOf = ({ name, samples }: Outcome, key: string): Series => ({
  name,
  values: samples.map((sample) => sample[key] ?? NaN),
});

/** Notes about loads: the cores that they used themselves, and the requests that failed. */
export function notesOf(outcomes: readonly Outcome[]): string[] {
  const failures = outcomes.flatMap(({ name, samples }) => {
    const failed = samples.reduce((sum, { failures: each = 0 }) => sum + each, 0);
    return failed > 0 ? [`${failed} of ${name} FAILED`] : [];
  });
  const cores = outcomes.map(({ name, samples }) => `${name} ${Math.max(...samples.map(loadOf)).toFixed(2)}`);
  return [...failures, `cores that making the load took, at most: ${cores.join(', ')}`];
}

const loadOf = ({ loadCores = 0 }: Sample): number => loadCores;
