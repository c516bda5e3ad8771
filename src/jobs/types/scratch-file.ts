import { readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { markAndRethrow } from '../guarded-files.ts';
import type { JobServices, Work } from '../job-type.ts';

/** A file this old is left over, because no attempt takes so long. */
const LEFT_OVER_AFTER_MS = 86_400_000;

/**
 * Calls `make` with a path on this machine, and deletes the file there afterwards. It first deletes what earlier attempts of the job left
 * behind when their process was killed, and old files of jobs that no worker here went on with.
 */
export async function onScratch<T>(
  { jobId, attempt }: Pick<Work, 'jobId' | 'attempt'>,
  { scratch }: Pick<JobServices, 'scratch'>,
  make: (file: string) => Promise<T>,
): Promise<T> {
  await clear(scratch, jobId);
  // A worker that was frozen may still write to the file of its own, earlier attempt.
  const file = path.join(scratch, `${jobId}.${attempt}`);
  try {
    return await make(file).catch(markAndRethrow); // a full disk is an outage, so it does not count as an attempt
  } finally {
    await rm(file, { force: true });
  }
}

const SCRATCH_NAME = /^job-[\da-f]+\.\d+$/;

async function clear(scratch: string, jobId: string): Promise<void> {
  for (const name of await readdir(scratch)) {
    if (!SCRATCH_NAME.test(name)) continue;
    const file = path.join(scratch, name);
    if (name.startsWith(`${jobId}.`) || (await isOld(file))) await rm(file, { force: true });
  }
}

async function isOld(file: string): Promise<boolean> {
  const found = await stat(file).catch(() => undefined); // another worker may have deleted it by now
  return found !== undefined && Date.now() - found.mtimeMs > LEFT_OVER_AFTER_MS;
}
