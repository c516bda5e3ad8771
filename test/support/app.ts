import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from './servers/ports.ts';

/** OpenMusic as its users run it: a process of its own. */
export interface RunningApp {
  readonly url: string;
  /** All that it logged so far. */
  log(): string;
  /** SIGTERM, and what it wrote goes. Twice is fine. */
  stop(): Promise<void>;
  /** SIGKILL: no goodbye. */
  kill(): Promise<void>;
  /** The same data in a new process. */
  restart(): Promise<void>;
}

const READY_WITHIN_MS = 60_000;
const root = new URL('../../', import.meta.url).pathname;

/** What names servers in the environment of the tests does not reach the app: it runs in the embedded shape. */
const OURS =
  /^(?:KAFKA_|PG|REDIS_|NAMESPACE|ROLES|HOST$|PORT$|DATA_DIR|NODE_OPTIONS|NODE_ENV|CATALOG_WRITES|LOG_LEVEL)/;
const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !OURS.test(name)));

/** Starts `src/main.ts` with a data directory and a port of its own, and waits until it is ready. */
export async function startApp(environment: Record<string, string> = {}): Promise<RunningApp> {
  const dataDir = await mkdtemp(join(tmpdir(), 'openmusic-e2e-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const env = { ...inherited, HOST: '127.0.0.1', PORT: String(port), DATA_DIR: dataDir, ...environment };
  let output = '';

  const launch = async () => {
    const child = spawn(process.execPath, ['src/main.ts'], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (output += data.toString()));
    await ready(url, child, () => output);
    return child;
  };

  let child = await launch();
  return {
    url,
    log: () => output,
    stop: async () => {
      await end(child, 'SIGTERM');
      await rm(dataDir, { recursive: true, force: true });
    },
    kill: () => end(child, 'SIGKILL'),
    restart: async () => {
      await end(child, 'SIGTERM');
      child = await launch();
    },
  };
}

async function ready(url: string, child: ChildProcess, output: () => string): Promise<void> {
  const deadline = Date.now() + READY_WITHIN_MS;
  while (!(await answers(url))) {
    if (child.exitCode !== null) throw new Error(`OpenMusic ended with ${child.exitCode}:\n${output()}`);
    if (Date.now() > deadline) {
      await end(child, 'SIGKILL');
      throw new Error(`OpenMusic is not ready after ${READY_WITHIN_MS} ms:\n${output()}`);
    }
    await delay(50);
  }
}

async function answers(url: string): Promise<boolean> {
  const answer = await fetch(`${url}/readyz`).catch(() => undefined);
  await answer?.text();
  return answer?.ok === true;
}

async function end(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill(signal);
  await once(child, 'exit');
}

/** The server that BASE_URL names, or one of our own in the embedded shape. */
export async function serverUnderTest(): Promise<Pick<RunningApp, 'url' | 'stop'>> {
  const url = process.env.BASE_URL;
  return url ? { url: url.replace(/\/+$/, ''), stop: () => Promise.resolve() } : startApp();
}
