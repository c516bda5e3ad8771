import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { reasonOf } from '../errors.ts';
import { retry } from '../concurrency/retry.ts';
import { waitFor } from '../concurrency/poll.ts';
import type { Stoppable } from '../lifecycle.ts';
import type { PostgresConnection } from './connection.ts';
import { binariesFor } from './embedded/binaries.ts';
import { ensureCluster, passwordOf } from './embedded/cluster.ts';
import { connectionTo, ensureDatabase } from './embedded/database.ts';
import { type Home, openHome } from './embedded/home.ts';
import { type Exit, type Launched, LaunchFailed, launch, START_MS } from './embedded/launch.ts';
import { EmbeddedPostgresInUse, holdServer, ownershipOf } from './embedded/ownership.ts';
import { excuseStalePidFile, stopPostmaster } from './embedded/postmaster.ts';
import { isAlive, identityOf, signal } from './embedded/processes.ts';
import { isDatabaseOutage } from './outage.ts';

export { EmbeddedPostgresInUse };

export interface EmbeddedPostgresOptions {
  readonly dataDir: string;
  /** Unless given, a free port is chosen. */
  readonly port?: number;
  /** More settings of postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly log: (line: string) => void;
  /** Replaces the npm package of this platform in tests. */
  readonly packageDir?: string;
  /** Replaces the minute that a start may take, in tests. */
  readonly startMs?: number;
}

export interface EmbeddedPostgres extends Stoppable {
  readonly connection: PostgresConnection;
  readonly pid: number;
  /** True when this call started the server, false when it joined a running one. */
  readonly started: boolean;
  readonly exited: Promise<Exit>;
}

/** Starts the server of `dataDir`. Rejects with EmbeddedPostgresInUse when another live OpenMusic process serves that data. */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  return await startIn(await openHome(options.dataDir, options.log), options);
}

/** Joins the server that a live OpenMusic process runs on `dataDir`, or starts it for as long as the caller runs. */
export async function joinOrStartEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const home = await openHome(options.dataDir, options.log);
  const deadline = performance.now() + 300_000;
  const joinOrStart = async () => {
    const password = await passwordOf(home);
    const found = await ownershipOf(home, password);
    if (found.kind === 'owned' && found.server.isReady) return join(found.server, password);
    return startIn(home, options);
  };
  const onFailure = (error: unknown) => {
    const isPassing = error instanceof EmbeddedPostgresInUse || isDatabaseOutage(error);
    if (!isPassing || performance.now() > deadline) throw error;
  };
  return retry(joinOrStart, { pauseMs: () => 50, onFailure });
}

async function startIn(home: Home, options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const begin = Date.now();
  const password = await passwordOf(home);
  await clearTheWay(home, password, options);
  const native = await binariesFor(home, options.log, options.packageDir);
  await ensureCluster(home, native, password);
  const server = await launchPatiently(home, native, password, options);
  const embedded = await own(server, home, password, options);
  options.log(
    `Postgres is ready after ${Date.now() - begin} ms: pid ${server.pid}, port ${server.port}, ${home.cluster}`,
  );
  return embedded;
}

async function clearTheWay(home: Home, password: string, { log }: EmbeddedPostgresOptions): Promise<void> {
  const found = await ownershipOf(home, password);
  if (found.kind === 'owned') throw new EmbeddedPostgresInUse(home.dataDir, found.server.owner);
  if (found.kind === 'left-over') {
    log(`stopping a Postgres that outlived its OpenMusic process (pid ${found.server.pid})`);
    await stopPostmaster(found.server.identity, log);
  }
  await excuseStalePidFile(home.cluster);
}

/** Failures that pass by themselves: another process starts, backends of a killed server remain, another program took the port. */
const PORT_TAKEN = 'could not create any TCP/IP sockets';
const PASSING = [
  'postmaster.pid" already exists',
  'postmaster.pid" is empty',
  'pre-existing shared memory',
  PORT_TAKEN,
];

async function launchPatiently(
  home: Home,
  native: string,
  password: string,
  options: EmbeddedPostgresOptions,
): Promise<Launched> {
  const deadline = performance.now() + (options.startMs ?? START_MS);
  for (;;) {
    try {
      return await launch(home, native, options);
    } catch (error) {
      if (!(error instanceof LaunchFailed)) throw error;
      if (options.port !== undefined && error.logged.includes(PORT_TAKEN)) throw portTaken(options.port, error);
      if (!PASSING.some((reason) => error.logged.includes(reason))) throw error;
      await delay(100);
      // Checked even after the deadline, because "in use by another process" explains more than our own server's log.
      await clearTheWay(home, password, options);
      if (performance.now() > deadline) throw error;
    }
  }
}

const portTaken = (port: number, cause: Error): Error =>
  new Error(`Port ${port} of 127.0.0.1 is taken: choose another one for Postgres.`, { cause });

const WRONG_PASSWORD = '28P01';
const passwordLost = ({ cluster, passwordFile }: Home, cause: unknown): Error =>
  new Error(`${passwordFile} is not the password of ${cluster}: restore it, or move both away to begin empty.`, {
    cause,
  });

async function own(
  server: Launched,
  home: Home,
  password: string,
  { log }: EmbeddedPostgresOptions,
): Promise<EmbeddedPostgres> {
  const over = new AbortController();
  void server.exited.then(() => over.abort());
  try {
    const [lock] = await Promise.all([
      holdServer(server.port, password, over.signal),
      ensureDatabase(server.port, password),
    ]);
    if (!lock) throw new EmbeddedPostgresInUse(home.dataDir, undefined);
    return owned(server, connectionTo(server.port, password), lock, over, log);
  } catch (error) {
    const failure = await reasonOfFailure(error, server, home);
    over.abort();
    await stopLaunched(server, log);
    throw failure;
  }
}

/** For a server that does not answer, the reason is in its own log. */
async function reasonOfFailure(error: unknown, server: Launched, home: Home): Promise<unknown> {
  if (isDatabaseOutage(error)) return await server.failure(`Postgres does not start (${reasonOf(error)})`);
  return (error as pg.DatabaseError).code === WRONG_PASSWORD ? passwordLost(home, error) : error;
}

async function stopLaunched({ identity, exited }: Launched, log: (line: string) => void): Promise<void> {
  if (identity !== undefined) await stopPostmaster(identity, log);
  await exited;
}

/** A process that exits without `stop` stops the server too, unless it is killed. */
function owned(
  server: Launched,
  connection: PostgresConnection,
  lock: Stoppable,
  over: AbortController,
  log: (line: string) => void,
): EmbeddedPostgres {
  const stopWithProcess = () => signal(server.pid, 'SIGINT');
  process.once('exit', stopWithProcess);
  void server.exited.then(() => process.removeListener('exit', stopWithProcess));
  const stop = async () => {
    over.abort();
    await lock.stop();
    await stopLaunched(server, log);
  };
  let stopping: Promise<void> | undefined;
  return { connection, pid: server.pid, started: true, exited: server.exited, stop: () => (stopping ??= stop()) };
}

async function join(server: { pid: number; port: number }, password: string): Promise<EmbeddedPostgres> {
  await ensureDatabase(server.port, password);
  const left = new AbortController();
  const connection = connectionTo(server.port, password);
  const stop = () => {
    left.abort();
    return Promise.resolve();
  };
  return { connection, pid: server.pid, started: false, exited: endOf(server.pid, left.signal), stop };
}

/** Resolves without code and signal, which only the parent process gets. */
function endOf(pid: number, left: AbortSignal): Promise<Exit> {
  const ended = Promise.withResolvers<Exit>();
  const watch = async () => {
    const identity = await identityOf(pid);
    if (!identity) return;
    const isGone = async () => !(await isAlive(identity)) || undefined;
    if (await waitFor(isGone, { everyMs: 250, withinMs: Infinity, signal: left }))
      ended.resolve({ code: null, signal: null });
  };
  void watch();
  return ended.promise;
}
