import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { reasonOf } from '../../src/errors.ts';

const run = promisify(execFile);
const root = join(import.meta.dirname, '../..');
const folder = join(root, '.cache/python');
const PACKAGES = ['confluent-kafka[avro,schemaregistry]==2.16.0'];

/** A Python that has Confluent's client, or why there is none. */
export type Python = { readonly python: string } | { readonly skip: string };

/**
 * An environment of its own in `.cache/python`, made by the first call. Only one test file may call it: two that make it at once
 * would meet.
 */
export async function confluentPython(): Promise<Python> {
  const python = join(folder, 'bin/python');
  const marker = join(folder, 'packages');
  const wanted = PACKAGES.join('\n');
  if ((await readFile(marker, 'utf8').catch(() => '')) === wanted) return { python };
  try {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    await run('python3', ['-m', 'venv', folder]);
    await run(python, ['-m', 'pip', 'install', '--quiet', ...PACKAGES], { timeout: 300_000 });
    await writeFile(marker, wanted);
    return { python };
  } catch (error) {
    return { skip: `no Python with ${wanted}: ${reasonOf(error).split('\n')[0] ?? ''}` };
  }
}

/** Runs a script of the project to its end. What it prints is one JSON value a line. */
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
