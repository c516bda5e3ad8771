import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startProcess } from './processes.ts';
import { freePort } from './ports.ts';

/** OpenMusic in the embedded shape, as users run it: a process of its own, on data of its own. */
export interface RunningApp {
  readonly url: string;
  /** The id of the current process. */
  pid(): number;
  /** Everything that it has logged so far. */
  log(): string;
  /** The same, with everything that its Postgres has logged. */
  wholeLog(): string;
  /** Sends SIGTERM, and removes its data. Calling it twice is allowed. */
  stop(): Promise<void>;
  /** Sends SIGKILL. */
  kill(): Promise<void>;
  /** Starts a new process on the same data. */
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
