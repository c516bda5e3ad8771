import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { guardProcess } from './guard.ts';
import type { NativeServer } from './types.ts';
import { until } from './waiting.ts';

interface Recipe {
  name: string;
  command: string;
  args: string[];
  directory: string;
  /** Remove the directory with the server. */
  ownDirectory: boolean;
  ready: () => Promise<boolean>;
  readyWithin: number;
}

/** A server in the foreground: one process, told by signals, its output in `output.log` of its directory. */
export async function startNativeProcess(recipe: Recipe): Promise<NativeServer> {
  let child = await started(recipe);
  const kill = () => end(child, 'SIGKILL');
  return {
    get pid() {
      return pidOf(child);
    },
    kill,
    stop: async () => {
      child.kill('SIGCONT');
      await end(child, recipe.ownDirectory ? 'SIGKILL' : 'SIGTERM');
      if (recipe.ownDirectory) await rm(recipe.directory, { recursive: true, force: true });
    },
    freeze: () => Promise.resolve(void child.kill('SIGSTOP')),
    thaw: () => Promise.resolve(void child.kill('SIGCONT')),
    restart: async () => {
      await kill();
      child = await started(recipe);
    },
  };
}

async function started(recipe: Recipe): Promise<ChildProcess> {
  const output = join(recipe.directory, 'output.log');
  const child = await launched(recipe, output);
  const disarm = guardProcess(pidOf(child), recipe.ownDirectory ? recipe.directory : undefined);
  child.once('exit', disarm);
  try {
    const ready = async () => hasEnded(child) || (await recipe.ready());
    await until(ready, recipe.readyWithin, () => `${recipe.name} is not ready after ${recipe.readyWithin} ms`);
    if (hasEnded(child)) throw new Error(`${recipe.name} ended while it started`);
    return child;
  } catch (error) {
    await end(child, 'SIGKILL');
    throw new Error(`${(error as Error).message}: ${await tail(output)}`, { cause: error });
  }
}

/** Not detached: what ends our process group ends the server. Its output is a file, so no pipe keeps us alive. */
async function launched({ command, args, directory }: Recipe, output: string): Promise<ChildProcess> {
  const log = openSync(output, 'a');
  try {
    const child = spawn(command, args, { cwd: directory, stdio: ['ignore', log, log] });
    await once(child, 'spawn');
    child.unref();
    return child;
  } finally {
    closeSync(log);
  }
}

/** Ends a process by a signal, and by SIGKILL when it takes more than ten seconds. */
async function end(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (hasEnded(child)) return;
  child.ref();
  const exited = once(child, 'exit');
  const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
  child.kill(signal);
  await exited;
  clearTimeout(late);
}

const hasEnded = (child: ChildProcess) => child.exitCode !== null || child.signalCode !== null;

function pidOf(child: ChildProcess): number {
  if (child.pid === undefined) throw new Error('the process did not start');
  return child.pid;
}

async function tail(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.trim().split('\n').slice(-5).join('\n') || 'it wrote nothing';
}
