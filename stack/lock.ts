import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { createOnce, replace } from '../src/postgres/embedded/drafts.ts';
import { identityOf, isAlive } from '../src/postgres/embedded/processes.ts';
import { until } from './waiting.ts';

export interface Lock {
  readonly kind: 'taken';
  /** The process that held it before died without releasing it. */
  readonly inherited: boolean;
  release(): Promise<void>;
}

interface Held {
  readonly kind: 'held';
  readonly pid: number;
}

/**
 * Takes a lock for as long as this process lives, unless another living process of this machine has it. It names the holder and
 * passes on at once when the holder is killed. Libraries that judge a lock by its age, such as proper-lockfile, do neither: a stack
 * would wait 10 s after a crash, and one that was suspended would lose its lock.
 */
export async function tryLock(file: string): Promise<Lock | Held> {
  const ours = `${(await identityOf(process.pid)) ?? ''} ${randomUUID()}`;
  for (let inherited = false; ; inherited = true) {
    const found = await createOnce(file, ours);
    if (found === ours) return { kind: 'taken', inherited, release: () => rm(file, { force: true }) };
    const holder = found.split(' ')[0] ?? '';
    if (await isAlive(holder)) return { kind: 'held', pid: Number.parseInt(holder, 10) };
    await replace(file, found, '');
  }
}

/** Runs `work` while no other process of this machine runs work under the same lock file. */
export async function withLock(file: string, work: () => Promise<void>, signal?: AbortSignal): Promise<void> {
  const late = () => `${file} has been locked by another process for five minutes`;
  let lock: Lock | undefined;
  const taken = async () => {
    const tried = await tryLock(file);
    if (tried.kind === 'taken') lock = tried;
    return lock !== undefined;
  };
  await until(taken, 300_000, late, signal);
  try {
    await work();
  } finally {
    await lock?.release();
  }
}
