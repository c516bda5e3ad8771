import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ignoreExisting } from './errno.ts';
import { identityOf } from './processes.ts';

const DRAFT = /^postgres-new-(\d+)-/;

/** Whatever takes a while to make is made in a draft beside its place and moved there whole; a crash leaves only a draft. */
export async function inDraft(place: string, make: (draft: string) => Promise<void>): Promise<void> {
  const draft = join(place, `postgres-new-${process.pid}-${randomBytes(4).toString('hex')}`);
  await mkdir(draft, { mode: 0o700 });
  try {
    await make(draft);
  } finally {
    await remove(draft);
  }
}

/** Moves a finished directory to its place for good; when another process was first, its directory stays. */
export async function publish(from: string, to: string): Promise<void> {
  await rename(from, to).catch(ignoreExisting);
  await syncDirectory(dirname(to));
}

/** Writes a file that only its owner reads, unless it exists; what is there in the end is the answer. */
export async function createOnce(path: string, content: string): Promise<string> {
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
  await syncDirectory(dirname(path));
  return await readFile(path, 'utf8');
}

/** Removes what starters that crashed have left. */
export async function sweepDrafts(place: string): Promise<void> {
  for (const name of await readdir(place)) {
    const maker = DRAFT.exec(name)?.[1];
    if (maker && (await identityOf(Number(maker))) === undefined) await remove(join(place, name));
  }
}

/** An initdb that outlived its parent may still be writing; what cannot be removed now is removed next time. */
const remove = (draft: string) => rm(draft, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  await directory.sync().finally(() => directory.close());
}
