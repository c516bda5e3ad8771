import { execFile } from 'node:child_process';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, it } from '@jest/globals';
import { reasonOf } from '../../src/errors.ts';

const run = promisify(execFile);
const root = join(import.meta.dirname, '../..');
const folder = join(root, '.cache/python');
const PACKAGES = ['confluent-kafka[avro,schemaregistry]==2.16.0'];

/** A Python with Confluent's client, or the reason why there is none. */
type Python = { readonly python: string } | { readonly skip: string };

/** A virtual environment in `.cache/python`, made by the first call. Two concurrent calls each make a complete one. */
async function confluentPython(): Promise<Python> {
  try {
    if (!(await isMade())) await make();
    return { python: join(folder, 'bin/python') };
  } catch (error) {
    return { skip: `no Python with ${PACKAGES.join()}: ${reasonOf(error).split('\n')[0] ?? ''}` };
  }
}

const MARKER = 'packages';
const isMade = async () => (await readFile(join(folder, MARKER), 'utf8').catch(() => '')) === PACKAGES.join();

async function make(): Promise<void> {
  const draft = `${folder}.${process.pid}`;
  await run('python3', ['-m', 'venv', draft]);
  await run(join(draft, 'bin/python'), ['-m', 'pip', 'install', '--quiet', ...PACKAGES], { timeout: 300_000 });
  await writeFile(join(draft, MARKER), PACKAGES.join());
  if (!(await isMade())) await rm(folder, { recursive: true, force: true });
  // Its python finds packages by its own location, so it can be moved.
  await rename(draft, folder).catch(() => rm(draft, { recursive: true, force: true }));
}

/** Runs a script of the project to its end. It prints one JSON value per line. */
export async function runPython(
  python: string,
  ...args: readonly string[]
): Promise<{ code: number; lines: unknown[]; errors: string }> {
  const options = { cwd: root, maxBuffer: 2 ** 28 };
  return new Promise((resolve) => {
    execFile(python, [...args], options, (error, stdout, errors) => {
      const lines = stdout.split('\n').filter((line) => line !== '');
      const code = error === null ? 0 : Number(error.code ?? NaN);
      resolve({ code, errors, lines: lines.map((line) => JSON.parse(line) as unknown) });
    });
  });
}

const found = await confluentPython();

/** Skips the suite, with the reason in its name, where Confluent's client is not available. */
export function describeWithPython(name: string, suite: (python: string) => void): void {
  if ('python' in found) describe(name, () => suite(found.python));
  else describe.skip(`${name} [skipped: ${found.skip}]`, () => it('runs', () => undefined));
}
