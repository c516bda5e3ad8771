import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startProcess } from './processes.ts';
import { freePort } from '../../src/stack/ports.ts';

/** OpenMusic in the embedded shape, as its users run it: a process of its own, on data of its own. */
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

export async function startApp(): Promise<RunningApp> {
  const dataDir = await mkdtemp(join(tmpdir(), 'openmusic-e2e-'));
  const port = await freePort();
  const launch = () => startProcess({ env: { DATA_DIR: dataDir }, port });
  let app = await launch();
  let before = '';
  return {
    url: app.url,
    log: () => before + app.output(),
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

/** The server that BASE_URL names, or one of our own in the embedded shape. */
export async function serverUnderTest(): Promise<Pick<RunningApp, 'url' | 'stop'>> {
  const url = process.env.BASE_URL;
  return url ? { url: url.replace(/\/+$/, ''), stop: () => Promise.resolve() } : startApp();
}
