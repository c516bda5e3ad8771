import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { FaultPoint, JobFaultPoint } from '../../src/faults.ts';
import { guard } from '../../stack/guard.ts';
import { freePort } from './ports.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const READY_WITHIN_MS = 90_000;
/** For any NODE_ENV, and longer than any test. */
const DUMMIES = { DUMMY_JOBS: 'on', DUMMY_SECONDS: '600' };

/** A process of OpenMusic. */
export interface OpenMusicProcess {
  readonly url: string;
  readonly pid: number;
  /** Everything it has printed so far. */
  output(): string;
  /** Resolves when it has ended for any reason: to its exit code, or to the signal. */
  readonly ended: Promise<number | NodeJS.Signals>;
  /** SIGSTOP: its connections stay open, and it answers nothing. */
  freeze(): void;
  /** Whether it is stopped by SIGSTOP, its own included. */
  isFrozen(): Promise<boolean>;
  /** SIGCONT. */
  thaw(): void;
  /** SIGUSR2: its fault happens the next time it reaches the point; see `faulty-main.ts`. */
  arm(): void;
  /** It kills itself when it reaches this point for the nth time. Resolves when it has received that; see `faulty-main.ts`. */
  armAt(point: FaultPoint | JobFaultPoint, nth?: number): Promise<void>;
  /** Ends it and waits; returns the exit code, null after a SIGKILL. Calling it twice is allowed. */
  end(signal: 'SIGTERM' | 'SIGINT' | 'SIGKILL'): Promise<number | null>;
}

export interface ProcessOptions {
  /** Settings; of this process's environment only the PATH is passed on. */
  readonly env: Readonly<Record<string, string>>;
  /** The entry that runs in place of `src/main.ts`. */
  readonly entry?: string;
  /** The working directory; its `.env` is read there. */
  readonly cwd?: string;
  /** The port of the API, or of the probes of a role without it. */
  readonly port?: number;
}

function run(file: string, args: readonly string[], { env, cwd = root, entry }: ProcessOptions) {
  const child = spawn(process.execPath, [path.resolve(root, file), ...args], {
    cwd,
    env: { PATH: process.env.PATH, ...env },
    // Other entries than that of production accept messages.
    stdio: ['ignore', 'pipe', 'pipe', ...(entry === undefined ? [] : ['ipc' as const])],
  });
  child.once('exit', guard(`kill -9 ${child.pid ?? ''}`));
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data: Buffer) => (printed += data.toString()));
  return { child, output: () => printed };
}

/** Starts OpenMusic and waits until it is ready. Rejects with everything it printed when it ends before. */
export async function startProcess(options: ProcessOptions): Promise<OpenMusicProcess> {
  const { entry = 'src/main.ts' } = options;
  const port = options.port ?? (await freePort());
  const env = { HEALTH_PORT: String(port), PORT: String(port), HOST: '127.0.0.1', ...DUMMIES, ...options.env };
  const { child, output } = run(entry, [], { ...options, env });
  const url = `http://127.0.0.1:${port}`;
  const ended = endOf(child);
  await untilReady(child, url, output);
  return {
    url,
    pid: child.pid ?? 0,
    output,
    ended,
    end: (signal) => end(child, signal),
    freeze: () => void child.kill('SIGSTOP'),
    isFrozen: () => isFrozen(child),
    thaw: () => void child.kill('SIGCONT'),
    arm: () => void child.kill('SIGUSR2'),
    async armAt(point, nth = 1) {
      child.send([point, nth]);
      await once(child, 'message');
    },
  };
}

/** Runs a command of the command line to its end, or another entry in its place. The code is null when it was killed. */
export async function openmusic(args: readonly string[], env: ProcessOptions['env'], entry = 'src/cli/openmusic.ts') {
  const { child, output } = run(entry, args, { env });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output: output() };
}

function endOf(child: ChildProcess): Promise<number | NodeJS.Signals> {
  return new Promise((resolve) => child.once('exit', (code, signal) => resolve(code ?? signal ?? 'SIGKILL')));
}

/** Read from /proc, where there is one: `ps` is missing on a slim Debian. */
async function isFrozen({ pid }: ChildProcess): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  if (stat !== undefined) return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T');
  return (await promisify(execFile)('ps', ['-o', 'stat=', '-p', String(pid)])).stdout.startsWith('T');
}

async function end(child: ChildProcess, signal: 'SIGTERM' | 'SIGINT' | 'SIGKILL'): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    child.kill(signal);
    await once(child, 'exit');
  }
  return child.exitCode;
}

async function untilReady(child: ChildProcess, url: string, output: () => string): Promise<void> {
  for (const giveUpAt = Date.now() + READY_WITHIN_MS; Date.now() < giveUpAt;) {
    const ended = child.exitCode ?? child.signalCode;
    if (ended !== null) throw new Error(`main.ts ended with ${ended}:\n${output()}`);
    const answer = await fetch(`${url}/readyz`).catch(() => undefined);
    await answer?.text();
    if (answer?.ok) return;
    await delay(50);
  }
  await end(child, 'SIGKILL');
  throw new Error(`main.ts was not ready within ${READY_WITHIN_MS} ms:\n${output()}`);
}
