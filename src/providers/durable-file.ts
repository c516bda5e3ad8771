import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { batchWrites } from '../concurrency/batch.ts';

/** The end of the names of what is not yet whole; a crash can leave it behind. */
export const PART = '.part';

/** Makes a directory that is missing, and what it lies in. */
export async function makeDirectory(directory: string): Promise<void> {
  const made = await mkdir(directory, { recursive: true });
  if (made !== undefined) await syncDirectories(directory, path.dirname(made));
}

/**
 * Renames what was written: the file appears whole or not at all. Every part has a name of its own: no other attempt is in the
 * way, whether dead or alive, and of two that write a file at once the later one wins.
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

/** The innermost and all it lies in up to the outermost: until then a crash of the machine can take new names back. */
export async function syncDirectories(innermost: string, outermost: string): Promise<void> {
  for (let each = innermost; ; each = path.dirname(each)) {
    await syncDirectory(each);
    if (each === outermost) return;
  }
}

/** What many wait for at the same time is done once, after the last of them has asked. */
export const syncDirectory = batchWrites<string>((directories) => Promise.all([...new Set(directories)].map(sync)));

/** A file or a directory. */
export async function sync(file: string): Promise<void> {
  const handle = await open(file);
  await handle.sync().finally(() => handle.close());
}
