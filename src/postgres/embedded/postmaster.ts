import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { replace } from './drafts.ts';
import { ifMissing } from './errno.ts';
import { commandOf, identityOf, isAlive, isGoneWithin, isTaken, signal } from './processes.ts';

/** A live server of a cluster. */
export interface Postmaster {
  readonly pid: number;
  /** As returned by `identityOf`. */
  readonly identity: string;
  readonly port: number;
  readonly isReady: boolean;
  /** The process that started it, in the same form. */
  readonly owner: string | undefined;
}

export type PidFile = Omit<Postmaster, 'identity' | 'owner'>;

/** A custom setting. It shows which process started a server, even while the server does not answer. */
export const OWNER_SETTING = 'openmusic.owner';

/** Reads `postmaster.pid`, which remains after a server was killed. Its lines are pid, directory, start, port, …, and in line 8 the status. */
export async function readPidFile(cluster: string): Promise<PidFile | undefined> {
  const text = await readFile(join(cluster, 'postmaster.pid'), 'utf8').catch(ifMissing);
  const lines = (text ?? '').split('\n').map((line) => line.trim());
  const pid = Number(lines[0]);
  return pid > 0 ? { pid, port: Number(lines[3]), isReady: lines[7] === 'ready' } : undefined;
}

/** The live server of `cluster`, if there is one. A pid that belongs to another program by now does not count. */
export async function findPostmaster(cluster: string): Promise<Postmaster | undefined> {
  const file = await readPidFile(cluster);
  if (!file) return undefined;
  const identity = await identityOf(file.pid);
  const command = await commandOf(file.pid);
  if (identity === undefined || !command?.includes(` -D ${cluster} `)) return undefined;
  return { ...file, identity, owner: /openmusic\.owner=(\d+:\d+) /.exec(command)?.[1] };
}

/**
 * Requests a fast shutdown, then an immediate one. No committed row is lost either way. The server is given by its identity, because
 * the pid of an ended server may belong to another program by now.
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
 * A killed server leaves its pid file. Postgres ignores a pid that is not in use, but takes a pid of another program for a live server,
 * and an empty file for a server that starts. Deleting the file would also delete the name of the shared memory by which Postgres
 * detects surviving backends. So the pid is replaced with ours, which Postgres treats as stale because we are its parent.
 */
export async function excuseStalePidFile(cluster: string): Promise<void> {
  const path = join(cluster, 'postmaster.pid');
  const text = await readFile(path, 'utf8').catch(ifMissing);
  if (text === undefined || (await findPostmaster(cluster))) return;
  if (text.trim() === '') await removeStillEmpty(path, text);
  else if (isTaken(Number.parseInt(text, 10))) await replace(path, text, text.replace(/^.*/, String(process.pid)));
}

/** Waits first, because a starting Postgres creates the file empty and then needs it in its place. */
async function removeStillEmpty(path: string, text: string): Promise<void> {
  await delay(1_000);
  if ((await readFile(path, 'utf8').catch(ifMissing)) === text) await replace(path, text, '');
}
