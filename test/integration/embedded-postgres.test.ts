import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import {
  EmbeddedPostgresInUse,
  type EmbeddedPostgresOptions,
  joinOrStartEmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../src/postgres/embedded.ts';
import { openHome } from '../../src/postgres/embedded/home.ts';
import { ownershipOf } from '../../src/postgres/embedded/ownership.ts';
import { excuseStalePidFile, stopPostmaster } from '../../src/postgres/embedded/postmaster.ts';
import { takeServerLock } from '../../src/postgres/server-lock.ts';
import {
  ask,
  copyOfPackage,
  isRunning,
  packageOfScripts,
  packageWithoutLinks,
  until,
  Workshop,
} from '../support/embedded-postgres.ts';
import { crashPostgres, crashWithoutRecovery } from '../support/postgres-crash.ts';

const isRoot = process.getuid?.() === 0;
const UNPRIVILEGED = { uid: 65534, gid: 65534 };

let workshop: Workshop;
let dataDir: string;
let lines: string[];

const log = (line: string) => void lines.push(line);
const start = async (options: Partial<EmbeddedPostgresOptions> = {}) =>
  workshop.add(await startEmbeddedPostgres({ dataDir, log, ...options }));
const joinOrStart = async () => workshop.add(await joinOrStartEmbeddedPostgres({ dataDir, log }));
const pidFile = () => join(dataDir, 'postgres', 'postmaster.pid');
const rewritePid = (pid: number) =>
  writeFileSync(pidFile(), readFileSync(pidFile(), 'utf8').replace(/^\d+/, String(pid)));

const emptyDirectory = () => join(workshop.directory(), 'data');
const scripts = (of: Parameters<typeof packageOfScripts>[1]) =>
  packageOfScripts(join(workshop.directory(), 'package'), of);

/** A server that ends during a read of its pid file, which is a pipe; `file` takes its place after that. */
const endingWhileLookedAt = (words: string, file = '/dev/null') =>
  scripts({
    initdb: ['mkfifo "$2/postmaster.pid"', `cp ${file} "$2/aside"`],
    postgres: [
      'exec 3> "$2/postmaster.pid"', // returns when the pipe is being read
      '(while kill -0 $$; do sleep 0.01; done; mv "$2/aside" "$2/postmaster.pid") 2> /dev/null &',
      `echo 'FATAL:  ${words}' >&2`,
      'exit 1',
    ],
  });

/** A copied cluster for tests that are not about initdb, which takes a second. */
const seeds = new Workshop();
let seed: string;

beforeAll(async () => {
  seed = join(seeds.directory(), 'data');
  const server = await startEmbeddedPostgres({ dataDir: seed, log: () => undefined });
  await server.stop();
});

afterAll(() => seeds.clean());

beforeEach(() => {
  workshop = new Workshop();
  lines = [];
  dataDir = emptyDirectory();
  cpSync(seed, dataDir, { recursive: true });
});

afterEach(() => workshop.clean());

describe('the server', () => {
  test('starts on an empty directory, keeps its data, starts again, and stops twice', async () => {
    dataDir = emptyDirectory();
    const first = await start();
    expect(first.started).toBe(true);
    expect(first.connection.port).toBeLessThan(32_768); // where the range of client ports begins
    await ask(first.connection, 'CREATE TABLE kept AS SELECT 42 AS answer');
    await Promise.all([first.stop(), first.stop()]);
    await first.stop();
    expect(await first.exited).toEqual({ code: 0, signal: null });
    expect(isRunning(first.pid)).toBe(false);

    const second = await start();
    expect(await ask(second.connection, 'SELECT answer FROM kept')).toBe(42);
    expect(second.connection.password).toBe(first.connection.password);
  });

  test('folds letters of every script and stores UTF-8', async () => {
    const { connection } = await start();
    expect(await ask(connection, `SELECT lower('ÄÖÉЖ')`)).toBe('äöéж');
    expect(await ask(connection, `SELECT 'Жёлтый Ärger' ILIKE '%жЁЛТЫЙ äRG%'`)).toBe(true);
    expect(await ask(connection, `SELECT current_setting('server_encoding')`)).toBe('UTF8');
  });

  test('is durable, limits WAL, listens on loopback only and accepts settings', async () => {
    const { connection } = await start({ settings: { max_connections: '33' } });
    const settings = `string_agg(current_setting(s), ' ' ORDER BY n)`;
    const names = `unnest(ARRAY['fsync','synchronous_commit','full_page_writes','data_checksums','wal_level','timezone',
      'jit','listen_addresses','unix_socket_directories','max_connections']) WITH ORDINALITY AS t(s, n)`;
    expect(await ask(connection, `SELECT ${settings} FROM ${names}`)).toBe('on on on on minimal UTC off 127.0.0.1  33');
    expect(statSync(join(dataDir, 'postgres')).mode & 0o777).toBe(0o700);
    expect(statSync(join(dataDir, 'postgres-password')).mode & 0o777).toBe(0o600);
    await expect(ask({ ...connection, password: 'guess' }, 'SELECT 1')).rejects.toThrow(
      /password authentication failed/,
    );
  });

  test('truncates its log file when it has grown beyond 10 MB', async () => {
    truncateSync(join(dataDir, 'postgres.log'), 11 * 1024 * 1024);
    await start();
    expect(statSync(join(dataDir, 'postgres.log')).size).toBeLessThan(10_000);
  });
});

describe('after a crash', () => {
  test('of the server, committed data is present', async () => {
    const first = await start();
    await ask(first.connection, 'CREATE TABLE kept AS SELECT generate_series(1, 10000) AS n');
    process.kill(first.pid, 'SIGKILL');
    expect(await first.exited).toEqual({ code: null, signal: 'SIGKILL' });
    await first.stop();

    const second = await start();
    expect(await ask(second.connection, 'SELECT count(*)::int FROM kept')).toBe(10_000);
  });

  test('the pid of the dead server can belong to another program, which is left alone', async () => {
    const first = await start();
    process.kill(first.pid, 'SIGKILL');
    await first.exited;
    const { uid, gid } = statSync(join(dataDir, 'postgres'));
    const bystander = spawn('sleep', ['60'], { uid, gid });
    rewritePid(bystander.pid!);

    const second = await start();
    expect(await ask(second.connection, 'SELECT 1')).toBe(1);
    expect(bystander.exitCode ?? bystander.signalCode).toBeNull();
    bystander.kill();
    await once(bystander, 'exit');
  });

  test('an empty pid file is ignored', async () => {
    const first = await start();
    process.kill(first.pid, 'SIGKILL');
    await first.exited;
    truncateSync(pidFile());
    const second = await start();
    expect(await ask(second.connection, 'SELECT 1')).toBe(1);
  });

  test('of the app, the server that outlived it is replaced', async () => {
    const app = workshop.app({ dataDir });
    const orphan = await app.ready();
    await app.kill();
    expect(isRunning(orphan.pid)).toBe(true);

    const server = await start();
    expect(isRunning(orphan.pid)).toBe(false);
    expect(await ask(server.connection, 'SELECT 1')).toBe(1);
    expect(lines.join()).toContain(`outlived its OpenMusic process (pid ${orphan.pid})`);
  });

  test('of the app during initdb, the next start begins from scratch', async () => {
    const drafts = () =>
      (existsSync(dataDir) ? readdirSync(dataDir) : []).filter((name) => name.startsWith('postgres-new-'));
    dataDir = emptyDirectory();
    // This crash never finishes.
    const packageDir = scripts({ initdb: ['mkdir "$2/base"', 'while [ -d "$2" ]; do sleep 0.05; done'], postgres: [] });
    const app = workshop.app({ dataDir, packageDir });
    await until(() => drafts().some((draft) => existsSync(join(dataDir, draft, 'cluster', 'base'))));
    await app.kill();
    expect(existsSync(join(dataDir, 'postgres'))).toBe(false);

    const server = await start();
    expect(await ask(server.connection, 'SELECT 1')).toBe(1);
    await server.stop();
    await start();
    expect(drafts()).toEqual([]);
  });

  test('of one backend, the lock is acquired again', async () => {
    const server = await start();
    const sleeping = ask(server.connection, 'SELECT pg_sleep(60)');
    await Promise.all([
      expect(sleeping).rejects.toThrow(),
      crashPostgres(server.connection, `query LIKE '%pg_sleep(60)' AND pid <> pg_backend_pid()`),
    ]);
    const holder = `SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND granted`;
    await until(async () => (await ask(server.connection, holder)) === 1);
  });

  test('the pid of a server that has ended is not mistaken for the server', async () => {
    const bystander = spawn('sleep', ['60']);
    const ended = once(bystander, 'exit');
    await stopPostmaster(`${bystander.pid!}:1`, log);
    bystander.kill('SIGTERM');
    expect(await ended).toEqual([null, 'SIGTERM']);
  });
});

describe('a second server on the same data', () => {
  test('is refused, in this process and from another', async () => {
    const { pid } = await start();
    await expect(start()).rejects.toThrow(EmbeddedPostgresInUse);
    const told = await workshop.app({ dataDir }).next();
    expect(told).toMatchObject({ kind: 'failed', name: 'EmbeddedPostgresInUse' });
    expect(told).toHaveProperty('message', expect.stringContaining(`(pid ${process.pid}): stop that one first`));
    expect(isRunning(pid)).toBe(true);
  });

  test('is refused while the first is frozen', async () => {
    const app = workshop.app({ dataDir });
    const { pid } = await app.ready();
    app.process.kill('SIGSTOP');
    await expect(start()).rejects.toThrow(EmbeddedPostgresInUse);
    expect(isRunning(pid)).toBe(true);
    app.process.kill('SIGCONT');
    await app.stop();
    expect(isRunning(pid)).toBe(false);
  });

  test('is refused by the lock alone when the first one is not visible', async () => {
    const { pid, connection } = await start();
    rewritePid(2 ** 22 + 1);
    await expect(start()).rejects.toThrow(EmbeddedPostgresInUse);
    rewritePid(pid);
    expect(await ask(connection, 'SELECT 1')).toBe(1);
  });

  test('is refused by a server that recovers from a crash, when the first one is not visible', async () => {
    const { pid, connection } = await start();
    rewritePid(2 ** 22 + 1);
    await crashWithoutRecovery(connection);
    expect(await ownershipOf(await openHome(dataDir, log), connection.password)).toMatchObject({ kind: 'owned' });
    rewritePid(pid);
  });

  test('leaves the pid file in its place when the first one has just created it', async () => {
    const cluster = join(dataDir, 'postgres');
    execFileSync('mkfifo', [pidFile()]);
    const excusing = excuseStalePidFile(cluster);
    await writeFile(pidFile(), ''); // returns when the pipe was read
    writeFileSync(`${pidFile()}-new`, '1\n');
    renameSync(`${pidFile()}-new`, pidFile());
    const { ctimeMs } = statSync(pidFile());
    await excusing;
    expect(statSync(pidFile()).ctimeMs).toBe(ctimeMs);
  });

  test('is refused however long its own server took to detect it', async () => {
    const first = await start();
    const packageDir = endingWhileLookedAt('lock file "postmaster.pid" already exists', pidFile());
    const dataDir = emptyDirectory();
    mkdirSync(dataDir);
    writeFileSync(join(dataDir, 'postgres-password'), first.connection.password);
    await expect(start({ dataDir, packageDir, startMs: 1 })).rejects.toThrow(EmbeddedPostgresInUse);
  });

  test('is refused when both start at once, on an empty directory too', async () => {
    dataDir = emptyDirectory();
    const race = async () => {
      const ends = await Promise.allSettled([start(), start(), workshop.app({ dataDir }).ready()]);
      expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      const losers = ends.flatMap((end) => (end.status === 'rejected' ? [String(end.reason)] : []));
      for (const reason of losers) expect(reason).toContain('EmbeddedPostgresInUse');
      await workshop.stop();
    };
    await race();
    await race();
  }, 180_000);
});

describe('joinOrStart', () => {
  test('joins a running server and leaves it running', async () => {
    const app = workshop.app({ dataDir });
    const { pid, port } = await app.ready();
    const joined = await joinOrStart();
    expect(joined).toMatchObject({ started: false, pid, connection: { port } });
    expect(await ask(joined.connection, 'SELECT 1')).toBe(1);
    await joined.stop();
    expect(isRunning(pid)).toBe(true);

    const again = await joinOrStart();
    await app.stop();
    expect(await again.exited).toEqual({ code: null, signal: null });
  });

  test('waits for a server that is just starting', async () => {
    const app = workshop.app({ dataDir });
    await until(() => existsSync(pidFile()));
    const joined = await joinOrStart();
    expect(joined).toMatchObject({ started: false, pid: (await app.ready()).pid });
  });

  test('joins a server that recovers from a crash, once it has recovered', async () => {
    const { pid, connection } = await start();
    await crashWithoutRecovery(connection);
    const joined = await joinOrStart();
    expect(joined).toMatchObject({ started: false, pid });
    expect(await ask(joined.connection, 'SELECT 1')).toBe(1);
  });

  test('starts its own server when none runs, or only a leftover one', async () => {
    const orphaned = workshop.app({ dataDir });
    const orphan = await orphaned.ready();
    await orphaned.kill();
    const server = await joinOrStart();
    expect(server.started).toBe(true);
    expect(isRunning(orphan.pid)).toBe(false);
    await expect(start()).rejects.toThrow(EmbeddedPostgresInUse);
    await server.stop();
    expect(isRunning(server.pid)).toBe(false);
  });
});

test('lets Ctrl-C reach the app only; the server lives until the app stops it', async () => {
  const app = workshop.app({ dataDir });
  const { pid, port, password } = await app.ready();
  process.kill(-app.process.pid!, 'SIGINT');
  expect(await app.next()).toEqual({ kind: 'interrupted' });
  const connection = { host: '127.0.0.1', port, password, user: 'openmusic', database: 'openmusic' };
  expect(await ask(connection, 'SELECT 1')).toBe(1);
  await app.stop();
  expect(app.process.exitCode).toBe(0);
  expect(isRunning(pid)).toBe(false);
});

describe('the server lock', () => {
  test('is held by one process, and free again once it stops', async () => {
    const { connection } = await start();
    const first = await takeServerLock(connection, 'projector');
    expect(await takeServerLock(connection, 'projector')).toBeUndefined();
    const other = await takeServerLock(connection, 'scheduler');
    await first?.stop();
    const second = await takeServerLock(connection, 'projector');
    expect(second).toBeDefined();
    await Promise.all([other?.stop(), second?.stop()]);
  });

  test('reports when its connection dies', async () => {
    const server = await start();
    const lock = await takeServerLock(server.connection, 'projector');
    process.kill(server.pid, 'SIGKILL');
    expect(await lock?.lost).toBeInstanceOf(Error);
    await lock?.stop();
    await expect(takeServerLock(server.connection, 'projector')).rejects.toThrow(/ECONNREFUSED/);
  });
});

describe('the binaries', () => {
  test('get their links when install scripts were disabled', async () => {
    const packageDir = packageWithoutLinks(join(workshop.directory(), 'package'));
    const { connection } = await start({ packageDir });
    expect(await ask(connection, 'SELECT 1')).toBe(1);
    expect(readdirSync(dataDir).filter((name) => name.startsWith('postgres-binaries-'))).toEqual([]);
  });

  (isRoot ? test : test.skip)('are copied by a normal user who may not make the links', async () => {
    const packageDir = packageWithoutLinks(join(workshop.directory(), 'package'));
    const open = workshop.directory(0o777);
    dataDir = join(open, 'data');
    const app = workshop.app({ dataDir, packageDir, user: UNPRIVILEGED });
    const { pid, password, port } = await app.ready();
    const connection = { host: '127.0.0.1', port, password, user: 'openmusic', database: 'openmusic' };
    expect(await ask(connection, 'SELECT 1')).toBe(1);
    expect(readdirSync(dataDir).filter((name) => name.startsWith('postgres-binaries-'))).toHaveLength(1);
    expect(statSync(join(dataDir, 'postgres')).uid).toBe(UNPRIVILEGED.uid);
    expect(statSync(`/proc/${pid}`).uid).toBe(UNPRIVILEGED.uid);
    await app.stop();
  });
});

describe('as root', () => {
  const asRoot = isRoot ? test : test.skip;

  asRoot('the server runs as another user, and as the owner of data that exists', async () => {
    const first = await start();
    expect(statSync(join(dataDir, 'postgres')).uid).not.toBe(0);
    await first.stop();
    const open = workshop.directory(0o777);
    const app = workshop.app({ dataDir: join(open, 'data'), user: UNPRIVILEGED });
    await app.ready();
    await app.stop();
    await start({ dataDir: join(open, 'data') });
    expect(statSync(join(open, 'data', 'postgres')).uid).toBe(UNPRIVILEGED.uid);
  });

  asRoot('a project below a private directory has its database and binaries elsewhere, for good', async () => {
    const project = workshop.directory(0o700);
    const packageDir = copyOfPackage(join(project, 'package'));
    // Permissions as npm sets them for a root user with umask 077.
    execFileSync('chmod', ['-R', 'go-rwx', packageDir]);
    dataDir = join(project, 'data');
    const umask = process.umask(0o077); // the umask of every OpenMusic process
    const first = await start({ packageDir }).finally(() => process.umask(umask));
    await ask(first.connection, 'CREATE TABLE kept AS SELECT 42 AS answer');
    await first.stop();
    const place = readFileSync(join(dataDir, 'postgres-location'), 'utf8').trim();
    expect(place).toMatch(/^\/var\/lib\/openmusic-/);
    expect(existsSync(join(dataDir, 'postgres'))).toBe(false);

    const second = await start({ packageDir });
    expect(await ask(second.connection, 'SELECT answer FROM kept')).toBe(42);
    expect(lines.join()).toContain(`the database is in ${place}`);
    expect(readdirSync(place).sort()).toEqual(['postgres', expect.stringMatching(/^postgres-binaries-/)]);
    await second.stop();

    rmSync(place, { recursive: true });
    await expect(start({ packageDir })).rejects.toThrow(`the database is in ${place}, which is gone: restore it`);
  });

  asRoot('data that was moved out of the reach of its user is not begun anew', async () => {
    await (await start()).stop();
    chmodSync(join(dataDir, '..'), 0o700);
    await expect(start()).rejects.toThrow(/cannot enter .*: chmod a\+x/);
  });

  asRoot('a normal user is told whose data it is', async () => {
    await (await start()).stop();
    const told = await workshop.app({ dataDir, user: UNPRIVILEGED }).next();
    expect(told).toHaveProperty('message', expect.stringContaining('belongs to another user'));
  });
});

describe('prints one clear line', () => {
  test('when the port is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    await expect(start({ port })).rejects.toThrow(
      `Port ${port} of 127.0.0.1 is taken: choose another one for Postgres.`,
    );
    other.close();
  });

  test('when the password is lost', async () => {
    await (await start()).stop();
    rmSync(join(dataDir, 'postgres-password'));
    await expect(start()).rejects.toThrow(/postgres-password is missing: restore it, or move .* away to begin empty/);
  });

  test('when the password is wrong', async () => {
    writeFileSync(join(dataDir, 'postgres-password'), 'guess');
    await expect(start()).rejects.toThrow(/postgres-password is not the password of .*: restore it/);
    expect(existsSync(pidFile())).toBe(false);
  });

  test('when Postgres ends just before the timeout, with the last lines of its log', async () => {
    dataDir = emptyDirectory();
    await expect(start({ packageDir: endingWhileLookedAt('out of luck'), startMs: 1 })).rejects.toThrow(OUT_OF_LUCK);
  });

  test('when Postgres is ready and does not answer, with the last lines of its log', async () => {
    const packageDir = scripts({
      postgres: [
        `trap 'exit 0' INT`,
        `echo 'FATAL:  out of luck' >&2`,
        'printf "%s\\n" $$ "$2" 0 "$4" "" "" "" ready > "$2/postmaster.pid"',
        'while :; do sleep 0.01; done',
      ],
    });
    await expect(start({ packageDir })).rejects.toThrow(OUT_OF_LUCK);
  });

  const OUT_OF_LUCK = /^Postgres does not start \(.+\), the last lines of .*postgres.log: FATAL: {2}out of luck$/;

  test('when Postgres is not ready in time, with the last lines of its log', async () => {
    const packageDir = scripts({
      postgres: [`trap 'echo "I was slow" >&2; exit 1' QUIT`, 'while :; do sleep 0.01; done'],
    });
    await expect(start({ packageDir, startMs: 500 })).rejects.toThrow(
      /^Postgres was not ready after \d+ s, the last lines of .*postgres.log: I was slow$/,
    );
  });

  test('when Postgres refuses to start, with the last lines of its log', async () => {
    await expect(start({ settings: { shared_buffers: 'plenty' } })).rejects.toThrow(
      /^Postgres does not start \(exit 1\), the last lines of .*postgres.log: .*shared_buffers/,
    );
  });
});
