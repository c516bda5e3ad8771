import { randomBytes } from 'node:crypto';
import { link, readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ifMissing, ignoreExisting } from './errno.ts';
import { commandOf, isGoneWithin, isTaken, signal } from './processes.ts';

/** A live server of a cluster. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  readonly isReady: boolean;
  /** The process that started it, as `identityOf` names it. */
  readonly owner: string | undefined;
}

type PidFile = Omit<Postmaster, 'owner'>;

/** A setting that Postgres does not know; it tells who started a server even while that server cannot be asked. */
export const OWNER_SETTING = 'openmusic.owner';

/** What `postmaster.pid` says; it outlives a killed server. The lines: pid, directory, start, port, …, 8 the status. */
export async function readPidFile(cluster: string): Promise<PidFile | undefined> {
  const text = await readFile(join(cluster, 'postmaster.pid'), 'utf8').catch(ifMissing);
  const lines = (text ?? '').split('\n').map((line) => line.trim());
  const pid = Number(lines[0]);
  return pid > 0 ? { pid, port: Number(lines[3]), isReady: lines[7] === 'ready' } : undefined;
}

/** The live server of `cluster`, if there is one. A pid that now belongs to another program is not one. */
export async function findPostmaster(cluster: string): Promise<Postmaster | undefined> {
  const file = await readPidFile(cluster);
  if (!file) return undefined;
  const command = await commandOf(file.pid);
  if (!command?.includes(` -D ${cluster} `)) return undefined;
  return { ...file, owner: /openmusic\.owner=(\d+:\d+) /.exec(command)?.[1] };
}

/** Fast shutdown, then an immediate one: no committed row is lost either way. */
export async function stopPostmaster(pid: number, log: (line: string) => void): Promise<void> {
  signal(pid, 'SIGINT');
  if (await isGoneWithin(10_000, pid)) return;
  log(`Postgres (pid ${pid}) is slow to stop, now without a checkpoint`);
  signal(pid, 'SIGQUIT');
  if (await isGoneWithin(30_000, pid)) return;
  throw new Error(`Postgres (pid ${pid}) does not stop: end it by hand with kill -QUIT ${pid}.`);
}

/**
 * A killed server leaves its pid file. Postgres does without a pid nobody has, but takes one that another program got
 * for a live server, and an empty file for one that starts. Deleting the file would also delete the name of the shared
 * memory by which Postgres notices surviving backends; so the pid becomes ours, which Postgres knows to be stale.
 */
export async function excuseStalePidFile(cluster: string): Promise<void> {
  const path = join(cluster, 'postmaster.pid');
  const text = await readFile(path, 'utf8').catch(ifMissing);
  if (text === undefined || (await findPostmaster(cluster))) return;
  if (text.trim() === '') await delay(1_000);
  else if (!isTaken(Number.parseInt(text, 10))) return;
  await replace(path, text, text.trim() === '' ? '' : text.replace(/^.*/, String(process.pid)));
}

/** Taken aside first, so that of several starters none overwrites the file of a server that another one just started. */
async function replace(path: string, expected: string, replacement: string): Promise<void> {
  const aside = `${path}-${process.pid}-${randomBytes(4).toString('hex')}`;
  await rename(path, aside).catch(ifMissing);
  const taken = await readFile(aside, 'utf8').catch(ifMissing);
  if (taken === undefined) return;
  if (taken === expected) await writeFile(aside, replacement);
  if (taken !== expected || replacement !== '') await link(aside, path).catch(ignoreExisting);
  await unlink(aside);
}
