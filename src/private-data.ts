import type { Dirent } from 'node:fs';
import { chmod, lstat, mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { reasonOf } from './errors.ts';

export interface PrivateDataOptions {
  /** The directories on the way to the embedded Postgres, which runs as another user when this process runs as root. */
  readonly leadsToPostgres: readonly string[];
  readonly report: (message: string) => void;
}

const PRIVATE = 0o700;
/** Other users may pass through it to their own files, but not list it. */
const PASSAGE = 0o711;
const OTHERS = 0o077;
/** Files that are checked at the same time. */
const CONCURRENCY = 64;

const uid = process.getuid?.();

/** From now on only its owner can read the files that this process and its children create. */
export const makePrivate = (): void => void process.umask(OTHERS);

/**
 * Makes everything in the data directory accessible to its owner only, also what an earlier version left open. A directory that only
 * the owner can enter was repaired when it was closed, so its content is not checked: 100,000 files take 13 s.
 */
export async function keepPrivate(dataDir: string, { leadsToPostgres, report }: PrivateDataOptions): Promise<void> {
  // Before the umask, because the directories above it must stay as they are.
  if (leadsToPostgres.length > 0) await mkdir(dataDir, { recursive: true });
  makePrivate();
  if (uid === undefined) return;
  for (const directory of leadsToPostgres) await mkdir(directory, { recursive: true });
  const passages = uid === 0 ? leadsToPostgres : [];
  await repairDirectory(dataDir, passages).catch((error: unknown) => {
    if (isMissing(error)) return;
    report(
      `${dataDir} cannot be made readable by its owner only (${reasonOf(error)}): change its permissions yourself`,
    );
  });
}

/**
 * Closes the directory last, so that an interrupted repair goes on at the next start. Returns whether other users have to pass
 * through it, because something in it belongs to another user, as Postgres' data does.
 */
async function repairDirectory(directory: string, passages: readonly string[]): Promise<boolean> {
  let isPassage = passages.includes(directory);
  if (!isPassage && ((await lstat(directory)).mode & OTHERS) === 0) return false;
  const entries = await readdir(directory, { withFileTypes: true });
  for (let from = 0; from < entries.length; from += CONCURRENCY) {
    const some = entries.slice(from, from + CONCURRENCY);
    const found = await Promise.all(some.map((entry) => repair(entry, passages)));
    isPassage = found.includes(true) || isPassage;
  }
  await setMode(directory, isPassage ? PASSAGE : PRIVATE);
  return isPassage;
}

async function repair(entry: Dirent, passages: readonly string[]): Promise<boolean> {
  const place = path.join(entry.parentPath, entry.name);
  try {
    if (entry.isSymbolicLink()) return false;
    const found = await lstat(place);
    if (found.uid !== uid) return entry.isDirectory();
    if (entry.isFile() && (found.mode & OTHERS) !== 0) await chmod(place, found.mode & PRIVATE);
    // Postgres protects its own files, and its programs must stay executable.
    return entry.isDirectory() && !isOfPostgres(entry.name) && (await repairDirectory(place, passages));
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

const isOfPostgres = (name: string): boolean => /^postgres(?:-(?:binaries|new)-.*)?$/.test(name);

async function setMode(directory: string, mode: number): Promise<void> {
  if (((await lstat(directory)).mode & 0o777) !== mode) await chmod(directory, mode);
}

/** Files come and go while others are checked. */
const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';
