import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import type { PostgresConnection } from '../../src/postgres/connection.ts';
import type { EmbeddedPostgres } from '../../src/postgres/embedded.ts';
import { signal } from '../../src/postgres/embedded/processes.ts';
import type { ChildMessage, ChildOptions } from './embedded-postgres-child.ts';

type Ready = Extract<ChildMessage, { kind: 'ready' }>;

/** An app in a process of its own, leader of its own process group as a shell would start it. */
interface App {
  readonly process: ChildProcess;
  /** The next message that it sends. */
  next(): Promise<ChildMessage>;
  ready(): Promise<Ready>;
  stop(): Promise<void>;
  kill(): Promise<void>;
}

/** Everything that one test starts and creates, ended and removed after it. */
export class Workshop {
  readonly #directories: string[] = [];
  readonly #servers: EmbeddedPostgres[] = [];
  readonly #apps: ChildProcess[] = [];
  readonly #pids: number[] = [];

  /** Readable by every user, like a project in /srv; mkdtemp makes it private. */
  directory(mode = 0o755): string {
    const path = realpathSync(mkdtempSync(join(tmpdir(), 'openmusic-pg-')));
    chmodSync(path, mode);
    this.#directories.push(path);
    return path;
  }

  add(server: EmbeddedPostgres): EmbeddedPostgres {
    this.#servers.push(server);
    return server;
  }

  app(options: ChildOptions): App {
    const script = fileURLToPath(new URL('embedded-postgres-child.ts', import.meta.url));
    const child = fork(script, [JSON.stringify(options)], { detached: true, execArgv: [] });
    this.#apps.push(child);
    return this.#appOf(child);
  }

  async stop(): Promise<void> {
    for (const child of this.#apps) await killed(child);
    for (const server of this.#servers) await server.stop();
    for (const pid of this.#pids) await ended(pid);
  }

  async clean(): Promise<void> {
    await this.stop();
    for (const path of this.#directories) {
      const pointer = join(path, 'data', 'postgres-location');
      if (existsSync(pointer)) rmSync(readFileSync(pointer, 'utf8').trim(), { recursive: true, force: true });
      rmSync(path, { recursive: true, force: true, maxRetries: 5 });
    }
  }

  #appOf(child: ChildProcess): App {
    const said: ChildMessage[] = [];
    child.on('message', (message) => said.push(message as ChildMessage));
    const next = async () => {
      await until(() => said.length > 0 || child.exitCode !== null);
      return said.shift() ?? { kind: 'failed' as const, name: 'Gone', message: `exit ${child.exitCode ?? ''}` };
    };
    const ready = async () => {
      const message = await next();
      if (message.kind !== 'ready') throw new Error(JSON.stringify(message));
      this.#pids.push(message.pid);
      return message;
    };
    const stop = async () => {
      child.send('stop');
      await once(child, 'exit');
    };
    return { process: child, next, ready, stop, kill: () => killed(child) };
  }
}

export async function until(condition: () => boolean | Promise<boolean>, ms = 30_000): Promise<void> {
  for (const deadline = Date.now() + ms; !(await condition());) {
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${condition.toString()}`);
    await delay(10);
  }
}

export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  return !isZombie(pid);
}

export async function ask(connection: PostgresConnection, sql: string): Promise<unknown> {
  const client = new pg.Client({ ...connection });
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rows } = await client.query<Record<string, unknown>>(sql);
    return rows[0] && Object.values(rows[0])[0];
  } finally {
    await client.end();
  }
}

export function copyOfPackage(to: string): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const from = join(dirname(createRequire(import.meta.url).resolve(name)), '..');
  cpSync(from, to, { recursive: true, verbatimSymlinks: true, filter: (path) => !path.endsWith('.a') });
  return to;
}

/** The package as `npm ci --ignore-scripts` leaves it: without the links that its install script makes. */
export function packageWithoutLinks(to: string): string {
  const links = JSON.parse(readFileSync(join(copyOfPackage(to), 'native/pg-symlinks.json'), 'utf8')) as Link[];
  for (const { target } of links) rmSync(join(to, target), { force: true });
  return to;
}

/** A package whose programs are these lines of shell. The second argument of both is the cluster. */
export function packageOfScripts(to: string, scripts: { initdb?: string[]; postgres: string[] }): string {
  for (const directory of ['bin', 'lib', 'share']) mkdirSync(join(to, 'native', directory), { recursive: true });
  for (const [program, lines] of Object.entries({ initdb: [], ...scripts }))
    writeFileSync(join(to, 'native', 'bin', program), ['#!/bin/sh', ...lines, ''].join('\n'), { mode: 0o755 });
  return to;
}

interface Link {
  target: string;
}

/** An orphan is reaped by the process that adopted it, possibly never. */
function isZombie(pid: number): boolean {
  const stat = `/proc/${pid}/stat`;
  return existsSync(stat) && readFileSync(stat, 'utf8').includes(') Z ');
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

async function ended(pid: number): Promise<void> {
  if (isRunning(pid)) signal(pid, 'SIGINT');
  await until(() => !isRunning(pid));
}
