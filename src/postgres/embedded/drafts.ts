import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readdir, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ifMissing, ignoreExisting } from './errno.ts';
import { identityOf } from './processes.ts';

const DRAFT = /^postgres-new-(\d+)-/;

/** Creates a directory as a draft beside its final place. It is moved there when complete, so a crash leaves only a draft. */
export async function inDraft(place: string, make: (draft: string) => Promise<void>): Promise<void> {
  const draft = join(place, `postgres-new-${process.pid}-${randomBytes(4).toString('hex')}`);
  await mkdir(draft, { mode: 0o700 });
  try {
    await make(draft);
  } finally {
    await remove(draft);
  }
}

/** Moves a finished directory to its final place, durably. If another process was first, its directory stays. */
export async function publish(from: string, to: string): Promise<void> {
  await rename(from, to).catch(ignoreExisting);
  await syncDirectory(dirname(to));
}

/** Writes a file that only its owner can read, unless it exists. Returns the content that the file has in the end. */
export async function createOnce(path: string, content: string): Promise<string> {
  for (;;) {
    await linkOnce(path, content);
    await syncDirectory(dirname(path));
    const found = await readFile(path, 'utf8').catch(ifMissing);
    if (found !== undefined) return found; // otherwise the process that was first has removed it meanwhile
  }
}

async function linkOnce(path: string, content: string): Promise<void> {
  const draft = `${path}-${process.pid}-${randomBytes(4).toString('hex')}`;
  const file = await open(draft, 'wx', 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
    await link(draft, path).catch(ignoreExisting);
  } finally {
    await file.close();
    await rm(draft);
  }
}

/** Removes the drafts of processes that crashed. */
export async function sweepDrafts(place: string): Promise<void> {
  for (const name of await readdir(place)) {
    const maker = DRAFT.exec(name)?.[1];
    if (maker && (await identityOf(Number(maker))) === undefined) await remove(join(place, name));
  }
}

/** An initdb that outlived its parent may still write. A draft that cannot be removed now is removed next time. */
const remove = (draft: string) => rm(draft, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);

/**
 * Replaces a file if it still has the expected content; an empty replacement removes it. The file is renamed first, so that of several
 * processes that find the same stale file none overwrites a newer file of another one.
 */
export async function replace(path: string, expected: string, replacement: string): Promise<void> {
  const aside = `${path}-${process.pid}-${randomBytes(4).toString('hex')}`;
  await rename(path, aside).catch(ifMissing);
  const taken = await readFile(aside, 'utf8').catch(ifMissing);
  if (taken === undefined) return;
  if (taken === expected) await writeFile(aside, replacement);
  if (taken !== expected || replacement !== '') await link(aside, path).catch(ignoreExisting);
  await unlink(aside);
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  await directory.sync().finally(() => directory.close());
}
