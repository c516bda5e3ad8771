import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startProcess } from './processes.ts';
import { freePort } from './ports.ts';

/** OpenMusic in the embedded shape, as its users run it: a process of its own, on data of its own. */
export interface RunningApp {
  readonly url: string;
  /** Of the process that runs now. */
  pid(): number;
  /** All that it logged so far. */
  log(): string;
  /** The same, and all that its Postgres logged. */
  wholeLog(): string;
  /** SIGTERM, and what it wrote goes. Twice is fine. */
  stop(): Promise<void>;
  /** SIGKILL: no goodbye. */
  kill(): Promise<void>;
  /** The same data in a new process. */
  restart(): Promise<void>;
}

/** `env`: more settings. */
export async function startApp(env: Readonly<Record<string, string>> = {}): Promise<RunningApp> {
  const dataDir = await mkdtemp(join(tmpdir(), 'openmusic-e2e-'));
  const port = await freePort();
  const launch = () => startProcess({ env: { DATA_DIR: dataDir, ...env }, port });
  let app = await launch();
  let before = '';
  return {
    url: app.url,
    pid: () => app.pid,
    log: () => before + app.output(),
    wholeLog: () => before + app.output() + readFileSync(join(dataDir, 'postgres.log'), 'utf8'),
    async stop() {
      await app.end('SIGTERM');
      await rm(dataDir, { recursive: true, force: true });
    },
    async kill() {
      await app.end('SIGKILL');
    },
    async restart() {
      await app.end('SIGTERM');
      before += app.output();
      app = await launch();
    },
  };
}
