/** The parts of jest's results that are used here. */
interface OneTest {
  fullName: string;
  status: string;
}
interface Results {
  numPassedTests: number;
  numFailedTests: number;
  numRuntimeErrorTestSuites: number;
  testResults: { testFilePath: string; testResults: OneTest[] }[];
}
interface RunConfig {
  rootDir: string;
  testNamePattern?: string;
}

const NOT_RUN = ['pending', 'todo', 'skipped', 'disabled'];

/**
 * Names every test that did not run, and fails the run because of it where `CI=true`: there, a missing server must not look
 * like success. Its last line, `N passed, M failed`, is for tools. A file that could not run counts as one failure.
 */
export default class SkipReporter {
  readonly #config: RunConfig;
  #error: Error | undefined;

  constructor(config: RunConfig) {
    this.#config = config;
  }

  onRunComplete(_contexts: unknown, results: Results): void {
    // `-t` skips every other test, as requested.
    const skipped = this.#config.testNamePattern ? [] : notRun(results, this.#config.rootDir);
    const isFailure = process.env.CI === 'true' && skipped.length > 0;
    if (isFailure) this.#error = new Error(`${skipped.length} tests did not run, which is a failure where CI=true`);
    process.stdout.write(summaryOf(skipped, this.#error));
    const last = summary(results, skipped.length, isFailure);
    // Jest's own summary comes after every reporter, and ends in the middle of a line.
    process.once('exit', () => process.stdout.write(`\n${last}\n`));
  }

  /** Jest fails the run when a reporter has an error. */
  getLastError(): Error | undefined {
    return this.#error;
  }
}

const notRun = (results: Results, root: string): string[] =>
  results.testResults.flatMap(({ testFilePath, testResults }) =>
    testResults
      .filter(({ status }) => NOT_RUN.includes(status))
      .map(({ fullName, status }) => `  ${testFilePath.replace(`${root}/`, '')}: ${fullName} (${wordFor(status)})`),
  );

const wordFor = (status: string) => (status === 'todo' ? 'todo' : 'skipped');

const summaryOf = (skipped: string[], error: Error | undefined): string =>
  skipped.length === 0 ? '' : ['', 'Tests that did not run:', ...skipped, error?.message ?? '', ''].join('\n');

function summary(results: Results, skipped: number, countsAsFailed: boolean): string {
  const failed = results.numFailedTests + results.numRuntimeErrorTestSuites + (countsAsFailed ? skipped : 0);
  const rest = skipped > 0 && !countsAsFailed ? `, ${skipped} skipped` : '';
  return `${results.numPassedTests} passed, ${failed} failed${rest}`;
}
