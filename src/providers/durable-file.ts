import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { batchWrites } from '../concurrency/batch.ts';

/** The end of the name of a file that is not yet whole. A crash can leave such a file behind. */
export const PART = '.part';

/** Makes a missing directory and its parents, and makes their names durable. */
export async function makeDirectory(directory: string): Promise<void> {
  const made = await mkdir(directory, { recursive: true });
  if (made !== undefined) await syncDirectories(directory, path.dirname(made));
}

/**
 * Writes a part and renames it, so that the file appears whole or not at all. Every part has a random name, so attempts do not
 * disturb each other, and of two that write the same file at once the later one wins.
 */
export async function putWhole(file: string, write: (part: string) => Promise<void>): Promise<void> {
  const part = `${file}.${randomBytes(6).toString('hex')}${PART}`;
  try {
    await write(part);
    await rename(part, file);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

export async function writeDurably(file: string, bytes: Buffer): Promise<void> {
  const handle = await open(file, 'wx');
  try {
    await handle.writeFile(bytes);
    await handle.datasync();
  } finally {
    await handle.close();
  }
}

/** Syncs the innermost directory and its parents up to the outermost. Before that a crash of the machine can undo new names. */
export async function syncDirectories(innermost: string, outermost: string): Promise<void> {
  for (let each = innermost; ; each = path.dirname(each)) {
    await syncDirectory(each);
    if (each === outermost) return;
  }
}

/** Syncs a directory once for all callers that wait at the same time. */
export const syncDirectory = batchWrites<string>((directories) => Promise.all([...new Set(directories)].map(sync)));

/** Syncs a file or a directory. */
export async function sync(file: string): Promise<void> {
  const handle = await open(file);
  await handle.sync().finally(() => handle.close());
}
