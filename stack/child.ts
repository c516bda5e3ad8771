import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { reasonOf } from '../src/errors.ts';
import type { Stoppable } from '../src/lifecycle.ts';
import { guard } from './guard.ts';
import { lastLines, type LogFile, openLogFile } from './log-file.ts';
import { until } from './waiting.ts';

/** A program to run, and the file that its output goes to. */
export interface Program {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** That of this process, unless it is given. */
  readonly environment?: NodeJS.ProcessEnv;
  readonly log: string;
}

/** A running program. It is killed when this process ends, however that happens. */
export interface Child extends Stoppable {
  readonly name: string;
  readonly pid: number;
  readonly log: string;
  /** How it ended, once it has: `exit code 1`, or the signal. */
  readonly ended: Promise<string>;
  send(signal: NodeJS.Signals): void;
  /** SIGTERM, and SIGKILL when that is not enough. Twice is fine. */
  stop(): Promise<void>;
  /** The last lines that it printed; five unless another number is given. */
  lastLines(lines?: number): Promise<string>;
  /** From now on this process does not keep running only because of it. */
  unref(): void;
}

export interface Readiness {
  /** Whether it serves. */
  readonly answers: () => Promise<boolean>;
  readonly withinMs: number;
  /** Ends the wait and the program. */
  readonly signal?: AbortSignal;
}

const STOP_WITHIN_MS = 30_000;

/** Starts a program and waits until it serves. */
export async function startChild(program: Program, { answers, withinMs, signal }: Readiness): Promise<Child> {
  const { child, handle } = await launch(program);
  const late = () => `${program.name} is not ready after ${withinMs} ms`;
  try {
    await until(async () => hasEnded(handle) || (await answers()), withinMs, late, signal);
    if (hasEnded(handle)) throw new Error(`${program.name} ended while it started (${await child.ended})`);
    return child;
  } catch (error) {
    child.send('SIGKILL');
    await child.ended;
    throw signal?.aborted ? error : new Error(await explained(reasonOf(error), child), { cause: error });
  }
}

/** Runs a program to its end. Throws, with its last lines, when it ends with a code other than 0. */
export async function runChild(program: Program, signal?: AbortSignal): Promise<Child> {
  signal?.throwIfAborted();
  const { child } = await launch(program);
  const kill = () => child.send('SIGKILL');
  signal?.addEventListener('abort', kill, { once: true });
  const end = await child.ended;
  signal?.removeEventListener('abort', kill);
  signal?.throwIfAborted();
  if (end !== endOf(0, null)) throw new Error(await explained(`${program.name} failed (${end})`, child));
  return child;
}

/** What happened, followed by the last lines that the program printed. */
export const explained = async (what: string, { log, lastLines }: Pick<Child, 'log' | 'lastLines'>): Promise<string> =>
  `${what}. The end of ${log}:\n${await lastLines()}`;

async function launch(program: Program): Promise<{ child: Child; handle: ChildProcess }> {
  const log = openLogFile(program.log);
  try {
    const handle = await spawned(program, log);
    return { child: childOf(handle, program, log), handle };
  } finally {
    log.close();
  }
}

/**
 * Starts it in a process group of its own, because the terminal sends Ctrl-C to the whole group of this process, which would end it
 * before its turn. Its output goes to a file, so that it can still write when this process has ended.
 */
async function spawned({ command, args, cwd, environment }: Program, log: LogFile): Promise<ChildProcess> {
  const stdio = ['ignore' as const, log.descriptor, log.descriptor];
  const handle = spawn(command, args, { cwd, stdio, detached: true, env: environment });
  if (handle.pid !== undefined) handle.once('exit', guard(`kill -9 ${handle.pid}`));
  await once(handle, 'spawn');
  return handle;
}

function childOf(handle: ChildProcess, { name, log }: Program, { begin }: LogFile): Child {
  const { pid } = handle;
  if (pid === undefined) throw new Error(`${name} did not start`);
  const ended = once(handle, 'exit').then(([code, signal]) =>
    endOf(code as number | null, signal as NodeJS.Signals | null),
  );
  return {
    name,
    pid,
    log,
    ended,
    send: (signal) => void handle.kill(signal),
    stop: () => stop(handle, name, ended),
    lastLines: (lines) => lastLines(log, { begin, lines }),
    unref: () => handle.unref(),
  };
}

async function stop(handle: ChildProcess, name: string, ended: Promise<string>): Promise<void> {
  if (hasEnded(handle)) return;
  const late = setTimeout(() => handle.kill('SIGKILL'), STOP_WITHIN_MS);
  handle.ref();
  handle.kill('SIGTERM');
  const end = await ended;
  clearTimeout(late);
  if (end === 'SIGKILL') throw new Error(`${name} had to be killed`);
}

const hasEnded = ({ exitCode, signalCode }: ChildProcess) => exitCode !== null || signalCode !== null;

const endOf = (code: number | null, signal: NodeJS.Signals | null) => signal ?? `exit code ${code ?? ''}`;
