import { readFile, rm, writeFile } from 'node:fs/promises';
import { until } from './waiting.ts';

/** Runs `work` while no other process of this machine runs work under the same file. A dead holder's lock is taken over. */
export async function withLock(file: string, work: () => Promise<void>): Promise<void> {
  await until(
    () => taken(file),
    300_000,
    () => `${file} is held by another process for five minutes`,
  );
  try {
    await work();
  } finally {
    await rm(file, { force: true });
  }
}

async function taken(file: string): Promise<boolean> {
  try {
    await writeFile(file, String(process.pid), { flag: 'wx' });
    return true;
  } catch {
    const holder = Number(await readFile(file, 'utf8').catch(() => ''));
    // Zero: the holder has just made it and not yet written, or just removed it.
    if (holder > 0 && !isAlive(holder)) await rm(file, { force: true });
    return false;
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
