import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { waitFor } from '../../concurrency/poll.ts';

const hasProc = existsSync('/proc/self/stat');

/**
 * Identifies one process as `pid:start`, because a pid alone is reused. Undefined when there is no such live process; a zombie does not
 * count.
 */
export async function identityOf(pid: number): Promise<string | undefined> {
  const start = hasProc ? await startFromProc(pid) : await startFromPs(pid);
  return start === undefined ? undefined : `${pid}:${start}`;
}

export async function isAlive(identity: string): Promise<boolean> {
  return (await identityOf(Number.parseInt(identity, 10))) === identity;
}

/** The command line of a process: its arguments, each followed by a blank. */
export async function commandOf(pid: number): Promise<string | undefined> {
  if (!hasProc) return await ps(pid, 'args=').then((args) => args && `${args} `);
  const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => undefined);
  return line === undefined || line === '' ? undefined : line.replaceAll('\0', ' ');
}

/** False when the process is still there after `ms`. */
export async function isGoneWithin(ms: number, identity: string): Promise<boolean> {
  const isGone = async () => !(await isAlive(identity)) || undefined;
  return (await waitFor(isGone, { everyMs: 10, withinMs: ms })) === true;
}

/** Whether the pid is in use, also by a zombie. */
export function isTaken(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/** Sends a signal. It is no error when the process has ended already. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Fields 3 (state) and 22 (start, in ticks since boot); the name in field 2 may hold blanks and brackets. */
async function startFromProc(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const [state, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return state === 'Z' || state === 'X' ? undefined : rest[18];
}

async function startFromPs(pid: number): Promise<string | undefined> {
  const [state, ...start] = ((await ps(pid, 'stat=,lstart=')) ?? '').split(/\s+/);
  return !state || state.startsWith('Z') ? undefined : String(Date.parse(start.join(' ')));
}

async function ps(pid: number, columns: string): Promise<string | undefined> {
  const { stdout } = await promisify(execFile)('ps', ['-ww', '-o', columns, '-p', String(pid)], {
    env: { LC_ALL: 'C', PATH: '/bin:/usr/bin' },
  }).catch(() => ({ stdout: '' }));
  return stdout.trim() || undefined;
}
