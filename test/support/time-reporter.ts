/** The parts of jest's results that are used here. Times in milliseconds. */
interface FileResult {
  testFilePath: string;
  displayName?: { name: string };
  perfStats: { runtime: number };
}
interface RunConfig {
  rootDir: string;
}

const SLOWEST = 10;

/** Prints the ten slowest files of a run, and the total time of each tier. */
export default class TimeReporter {
  readonly #root: string;

  constructor({ rootDir }: RunConfig) {
    this.#root = rootDir;
  }

  onRunComplete(_contexts: unknown, { testResults }: { testResults: FileResult[] }): void {
    if (testResults.length < 2) return;
    const slowest = testResults.toSorted((one, other) => other.perfStats.runtime - one.perfStats.runtime);
    const lines = slowest
      .slice(0, SLOWEST)
      .map(
        ({ testFilePath, perfStats }) =>
          `  ${seconds(perfStats.runtime)} ${testFilePath.replace(`${this.#root}/`, '')}`,
      );
    process.stdout.write(['', 'Slowest files:', ...lines, ...totals(testResults), ''].join('\n'));
  }
}

const seconds = (ms: number) => `${(ms / 1_000).toFixed(1).padStart(7)} s`;

function totals(results: readonly FileResult[]): string[] {
  const tiers = Map.groupBy(results, ({ displayName }) => displayName?.name ?? 'tests');
  return [...tiers].map(([name, files]) => {
    const sum = files.reduce((total, { perfStats }) => total + perfStats.runtime, 0);
    return `${seconds(sum)} ${name}: ${files.length} files, one after the other`;
  });
}
