import type { Dirent } from 'node:fs';
import { chmod, lstat, mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { reasonOf } from './errors.ts';

export interface PrivateDataOptions {
  /** The embedded Postgres lies in it, or below it in these directories, and as root it runs as another user. */
  readonly leadsToPostgres: readonly string[];
  readonly report: (message: string) => void;
}

const PRIVATE = 0o700;
/** Others come through it to what belongs to them, and see nothing. */
const PASSAGE = 0o711;
const OTHERS = 0o077;
/** Files that are looked at at once. */
const CONCURRENCY = 64;

const uid = process.getuid?.();

/** From now on only its owner can read what this process and its children make. */
export const makePrivate = (): void => void process.umask(OTHERS);

/**
 * Makes all that lies in the data directory the owner's alone, also what an earlier version has left open. What is in a directory
 * that only the owner can enter was mended when that was closed, and is not looked at: 100,000 files take 13 s.
 */
export async function keepPrivate(dataDir: string, { leadsToPostgres, report }: PrivateDataOptions): Promise<void> {
  // Before the umask: the directories above it are not ours to close.
  if (leadsToPostgres.length > 0) await mkdir(dataDir, { recursive: true });
  makePrivate();
  if (uid === undefined) return;
  for (const directory of leadsToPostgres) await mkdir(directory, { recursive: true });
  const passages = uid === 0 ? leadsToPostgres : [];
  await mendDirectory(dataDir, passages).catch((error: unknown) => {
    if (isMissing(error)) return;
    report(`${dataDir} cannot be made readable by its owner only (${reasonOf(error)}): see to it yourself`);
  });
}

/**
 * Closes the directory last, so that what was broken off goes on at the next start. Returns whether others have to come through
 * it: something in it is another user's, as Postgres' data is.
 */
async function mendDirectory(directory: string, passages: readonly string[]): Promise<boolean> {
  let isPassage = passages.includes(directory);
  if (!isPassage && ((await lstat(directory)).mode & OTHERS) === 0) return false;
  const entries = await readdir(directory, { withFileTypes: true });
  for (let from = 0; from < entries.length; from += CONCURRENCY) {
    const some = entries.slice(from, from + CONCURRENCY);
    const found = await Promise.all(some.map((entry) => mend(entry, passages)));
    isPassage = found.includes(true) || isPassage;
  }
  await setMode(directory, isPassage ? PASSAGE : PRIVATE);
  return isPassage;
}

async function mend(entry: Dirent, passages: readonly string[]): Promise<boolean> {
  const place = path.join(entry.parentPath, entry.name);
  try {
    if (entry.isSymbolicLink()) return false;
    const found = await lstat(place);
    if (found.uid !== uid) return entry.isDirectory();
    if (entry.isFile() && (found.mode & OTHERS) !== 0) await chmod(place, found.mode & PRIVATE);
    // Postgres looks after its own, and its programs are to be run.
    return entry.isDirectory() && !isOfPostgres(entry.name) && (await mendDirectory(place, passages));
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

const isOfPostgres = (name: string): boolean => /^postgres(?:-(?:binaries|new)-.*)?$/.test(name);

async function setMode(directory: string, mode: number): Promise<void> {
  if (((await lstat(directory)).mode & 0o777) !== mode) await chmod(directory, mode);
}

/** Files come and go while others are looked at. */
const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';
