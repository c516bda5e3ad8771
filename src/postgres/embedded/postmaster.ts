import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { replace } from './drafts.ts';
import { ifMissing } from './errno.ts';
import { commandOf, identityOf, isAlive, isGoneWithin, isTaken, signal } from './processes.ts';

/** A live server of a cluster. */
export interface Postmaster {
  readonly pid: number;
  /** As `identityOf` names it. */
  readonly identity: string;
  readonly port: number;
  readonly isReady: boolean;
  /** The process that started it, named in the same way. */
  readonly owner: string | undefined;
}

export type PidFile = Omit<Postmaster, 'identity' | 'owner'>;

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
  const identity = await identityOf(file.pid);
  const command = await commandOf(file.pid);
  if (identity === undefined || !command?.includes(` -D ${cluster} `)) return undefined;
  return { ...file, identity, owner: /openmusic\.owner=(\d+:\d+) /.exec(command)?.[1] };
}

/**
 * Fast shutdown, then an immediate one: no committed row is lost either way. The server is named by its identity, because
 * the pid of one that has ended may be another program's by now.
 */
export async function stopPostmaster(identity: string, log: (line: string) => void): Promise<void> {
  if (!(await isAlive(identity))) return;
  const pid = Number.parseInt(identity, 10);
  signal(pid, 'SIGINT');
  if (await isGoneWithin(10_000, identity)) return;
  log(`Postgres (pid ${pid}) is slow to stop, now without a checkpoint`);
  signal(pid, 'SIGQUIT');
  if (await isGoneWithin(30_000, identity)) return;
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
  if (text.trim() === '') await removeStillEmpty(path, text);
  else if (isTaken(Number.parseInt(text, 10))) await replace(path, text, text.replace(/^.*/, String(process.pid)));
}

/** Postgres creates the file empty, and adds to it as it starts: it must find it in its place. */
async function removeStillEmpty(path: string, text: string): Promise<void> {
  await delay(1_000);
  if ((await readFile(path, 'utf8').catch(ifMissing)) === text) await replace(path, text, '');
}
