import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { afterAll, beforeAll } from '@jest/globals';
import { loadConfig } from '../../src/config.ts';
import type { Files, ListedFile } from '../../src/providers/files/files.ts';
import { openFiles } from '../../src/providers/files/providers.ts';

export type Settings = Readonly<Record<string, string>>;

export const open = (settings: Settings): Promise<Files> => openFiles(loadConfig({ ...settings }, '/nowhere'));

export async function listOf(files: Files, prefix = ''): Promise<ListedFile[]> {
  const listed: ListedFile[] = [];
  for await (const file of files.list(prefix)) listed.push(file);
  return listed;
}

export const namesOf = async (files: Files, prefix = '') =>
  (await listOf(files, prefix)).map(({ name }) => name).sort();

export async function removeAll(files: Files): Promise<void> {
  const names = await namesOf(files);
  for (let index = 0; index < names.length; index += 50)
    await Promise.all(names.slice(index, index + 50).map((name) => files.remove(name)));
}

/** Undefined when no file has the name. */
export async function keptHashOf(files: Files, name: string): Promise<string | undefined> {
  const file = await files.open(name);
  return file && hashOf(await file.read());
}

async function hashOf(content: Readable): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(content, hash);
  return hash.digest('hex');
}

/** A directory for files like those of jobs, for the lifetime of the test file. */
export function useScratch() {
  let directory: string;
  let count = 0;
  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'openmusic-scratch-'));
  });
  afterAll(() => rm(directory, { recursive: true }));
  return {
    directory: () => directory,
    /** A new file, and its hash. Whole megabytes. */
    async made(size: number): Promise<{ file: string; hash: string }> {
      const file = path.join(directory, `made-${++count}`);
      const megabyte = randomBytes(2 ** 20);
      await writeFile(
        file,
        Array.from({ length: size / megabyte.length }, () => megabyte),
      );
      return { file, hash: await hashOf(createReadStream(file)) };
    },
  };
}
