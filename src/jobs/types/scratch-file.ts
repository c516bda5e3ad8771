import { readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { remembered } from '../guarded-files.ts';
import type { JobServices, Work } from '../job-type.ts';

/** No attempt takes so long. */
const LEFT_BEHIND_AFTER_MS = 86_400_000;

/**
 * Gives a path on this machine to make a file at, which is gone from there afterwards. So are those that earlier attempts of
 * the job left behind, when their process was killed, and those of jobs that nobody went on with.
 */
export async function onScratch<T>(
  { jobId, attempt }: Pick<Work, 'jobId' | 'attempt'>,
  { scratch }: Pick<JobServices, 'scratch'>,
  make: (file: string) => Promise<T>,
): Promise<T> {
  await clear(scratch, jobId);
  // A worker that was frozen and is alive again may still write what its attempt is called.
  const file = path.join(scratch, `${jobId}.${attempt}`);
  try {
    return await make(file).catch(remembered); // a disk that is full here is no attempt either
  } finally {
    await rm(file, { force: true });
  }
}

const OURS = /^job-[\da-f]+\.\d+$/;

async function clear(scratch: string, jobId: string): Promise<void> {
  for (const name of await readdir(scratch)) {
    if (!OURS.test(name)) continue;
    const file = path.join(scratch, name);
    if (name.startsWith(`${jobId}.`) || (await isOld(file))) await rm(file, { force: true });
  }
}

async function isOld(file: string): Promise<boolean> {
  const found = await stat(file).catch(() => undefined); // by now somebody else has it cleared away
  return found !== undefined && Date.now() - found.mtimeMs > LEFT_BEHIND_AFTER_MS;
}
