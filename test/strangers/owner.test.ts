import { execFile } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { openKafkaLog } from '../../src/log/kafka.ts';
import { showOwner } from '../../src/log/owner.ts';
import type { LogOwner } from '../../src/events/genesis.ts';
import type { EventLog } from '../../src/log/event-log.ts';
import type { PostgresConnection } from '../../src/postgres/connection.ts';
import { openDatabase } from '../../src/postgres/pool.ts';
import { READ_VERSION } from '../../src/projections/projections.ts';
import { Follower } from '../contract/follower.ts';
import { type Client, createClient } from '../support/client.ts';
import { describeDistributed, type Distributed, type Settings, startDistributed } from '../support/distributed.ts';
import { entryOf, eventually, linesOf, metricOf } from '../support/observed.ts';
import { ownerOf } from '../support/owners.ts';
import { newPerson } from '../support/people.ts';
import { openmusic, type OpenMusicProcess, startProcess } from '../support/processes.ts';
import { refusalOf } from '../support/start-refusal.ts';
import {
  createDatabase,
  type NativePostgres,
  startNativePostgres,
  type TestDatabase,
} from '../support/servers/index.ts';

const LONG_MS = 240_000;
const ROLES = ['api', 'projector', 'exporter', 'worker', 'scheduler'];

const settingsOf = ({ host, port, user, password, database }: PostgresConnection): Settings => ({
  PGHOST: host,
  PGPORT: String(port),
  PGUSER: user,
  PGPASSWORD: password,
  PGDATABASE: database,
});

/** Runs a statement on tables of the namespace. */
async function sql<Row extends pg.QueryResultRow>(
  connection: PostgresConnection,
  namespace: string,
  text: string,
): Promise<Row[]> {
  const database = openDatabase(connection, { name: 'test', max: 1, searchPath: [namespace] });
  return database.query<Row>({ text }).finally(() => database.stop());
}

async function newAlbum({ post }: Client, name: string): Promise<string> {
  const { status, text, body } = await post('/albums', { name, year: 2000 });
  if (status !== 201) throw new Error(`no album: ${status} ${text}`);
  return body!.data!.albumId!;
}

describeDistributed('two databases on one Kafka', () => {
  let system: Distributed;
  let other: TestDatabase;
  /** The settings of the other database. */
  let env: Settings;
  let log: EventLog;
  let owner: LogOwner;
  let client: Client;
  let album: string;
  const opened: EventLog[] = [];

  beforeAll(async () => {
    system = await startDistributed({ env: { LOG_CHECK_SECONDS: '0.5', VERDICT_WAIT_SECONDS: '2' } });
    await system.startWorker('exporter,worker,scheduler');
    other = await createDatabase();
    env = { ...system.env, ...settingsOf(other.connection) };
    owner = await ownerOf(system.connection);
    const groups = { namespace: system.namespace, of: owner };
    const brokers = system.env.KAFKA_BROKERS!.split(',');
    log = await openKafkaLog({ brokers, clientId: 'test', groups, logger: () => undefined });
    opened.push(log);
    client = createClient(system.apis[0]!.url);
    album = await newAlbum(client, 'Parachutes');
  }, LONG_MS);
  afterAll(async () => {
    for (const each of opened) await each.close();
    await system.stop();
    await other.drop();
  });

  const members = async (of?: LogOwner) =>
    (await log.members(of)).map(({ group, clientId }) => `${group} ${clientId}`).sort();

  it(
    'log init and every role of an empty database are refused, and told to follow the log or to use another namespace',
    async () => {
      const before = await members();
      expect(before).toHaveLength(4);
      const words = [showOwner(owner), 'has never seen this log', 'READ_ONLY=on', 'another NAMESPACE'];
      const init = await openmusic(['log', 'init'], env);
      expect(init.code).toBe(1);
      for (const word of words) expect(init.output).toContain(word);
      for (const role of ROLES) {
        const refusal = await refusalOf({ ...env, ROLES: role });
        for (const word of words) expect(refusal).toContain(word);
      }
      expect(await members()).toEqual(before);
      expect(await members(await ownerOf(other.connection))).toEqual([]);
      expect((await entryOf(system.apis[0]!, 'log-settings')).entry).toMatchObject({ ok: true });
      await newAlbum(client, 'while another was refused');
    },
    LONG_MS,
  );

  describe('a follower', () => {
    let follower: OpenMusicProcess;
    let reader: Client;
    let before: string[];
    let ends: unknown;

    beforeAll(async () => {
      before = await members();
      const placed = (await log.describe([`${system.namespace}.catalog`, `${system.namespace}.jobs`])).map(
        ({ topic }) => topic,
      );
      expect(placed).toHaveLength(2);
      follower = await startProcess({ env: { ...env, READ_ONLY: 'on', ROLES: 'all' } });
      reader = createClient(follower.url);
      ends = await endsOf();
    }, LONG_MS);
    afterAll(() => follower.end('SIGTERM'));

    const endsOf = () =>
      log.ends(
        ['catalog', 'playlists', 'likes', 'jobs'].flatMap((topic) =>
          [0, 1].map((partition) => ({ topic: `${system.namespace}.${topic}`, partition })),
        ),
      );

    it('reads what the owner has written, and what it writes later', async () => {
      expect((await reader.get(`/albums/${album}`)).body?.data?.album?.name).toBe('Parachutes');
      const later = await newAlbum(client, 'later');
      await eventually('the follower has it', async () => (await reader.get(`/albums/${later}`)).status === 200);
      await client.put(`/albums/${later}`, { name: 'changed', year: 2001 });
      await eventually(
        'the change, cached or not',
        async () => (await reader.get(`/albums/${later}`)).body?.data?.album?.name === 'changed',
      );
      ends = await endsOf();
    });

    it('uses groups of its own, and does not touch those of the owner', async () => {
      expect(await members()).toEqual(before);
      expect(await members(await ownerOf(other.connection))).toEqual([
        expect.stringMatching(
          new RegExp(`^${system.namespace}\\.projector\\.${system.namespace}_read_${READ_VERSION}_1\\.[0-9a-f]{8} `),
        ),
      ]);
    });

    it('rejects every write with READ_ONLY, and registers and logs in users of its own', async () => {
      const person = await newPerson(follower.url);
      const writes: [string, Promise<{ status: number; body?: { code?: string } | undefined }>][] = [
        ['album', person.client.post('/albums', { name: 'no', year: 2000 })],
        ['change', person.client.put(`/albums/${album}`, { name: 'no', year: 2000 })],
        ['deletion', person.client.delete(`/albums/${album}`)],
        ['song', person.client.post('/songs', {})],
        ['like', person.client.post(`/albums/${album}/likes`)],
        ['playlist', person.client.post('/playlists', { name: 'no' })],
        ['job', person.client.post('/jobs', { type: 'dummy' })],
        ['export', person.client.post('/messages', {})],
      ];
      for (const [name, write] of writes) {
        const { status, body } = await write;
        expect([name, status, body?.code]).toEqual([name, 403, 'READ_ONLY']);
      }
      expect(await endsOf()).toEqual(ends);
      expect(linesOf(follower, 'Redis is not used')).toHaveLength(1);
    });

    it(
      'needs no Postgres, Redis or keys by name',
      async () => {
        const home = await mkdtemp(path.join(tmpdir(), 'openmusic-follower-'));
        await chmod(home, 0o755);
        const { NAMESPACE, PARTITIONS, KAFKA_BROKERS } = system.env;
        const bare = { NAMESPACE: NAMESPACE!, PARTITIONS: PARTITIONS!, KAFKA_BROKERS: KAFKA_BROKERS! };
        const laptop = await startProcess({ env: { ...bare, READ_ONLY: 'on', DATA_DIR: home } });
        expect((await createClient(laptop.url).get(`/albums/${album}`)).body?.data?.album?.name).toBe('Parachutes');
        await newPerson(laptop.url);
        expect(await laptop.end('SIGTERM')).toBe(0);
        await rm(home, { recursive: true, force: true });
      },
      LONG_MS,
    );

    it('is ready, and reports no component that it does not run', async () => {
      const { body, status } = await reader.get('/readyz');
      expect(status).toBe(200);
      const { checks } = body!.data as unknown as { checks: Record<string, { ok: boolean }> };
      expect(Object.keys(checks).sort()).not.toContain('worker');
      expect(Object.values(checks).every(({ ok }) => ok)).toBe(true);
    });
  });

  it(
    'cannot be started without READ_ONLY, nor the owner with it',
    async () => {
      const refusal = await refusalOf({ ...env, ROLES: 'projector' });
      expect(refusal).toContain(`the log belongs to the database ${showOwner(owner)}`);
      expect(refusal).toContain('log adopt --fence');
      expect(await refusalOf({ ...system.env, READ_ONLY: 'on', ROLES: 'api' })).toContain('without READ_ONLY');
    },
    LONG_MS,
  );

  it(
    'an unknown process in the groups raises an alarm for as long as it is there',
    async () => {
      const brokers = system.env.KAFKA_BROKERS!.split(',');
      const groups = { namespace: system.namespace, of: owner };
      const copy = await openKafkaLog({ brokers, clientId: 'copy', groups, logger: () => undefined });
      opened.push(copy);
      await copy.subscribe({
        group: `${system.namespace}.copy`,
        topics: [`${system.namespace}.catalog`],
        handler: new Follower(),
        onCrash: () => undefined,
      });
      for (const each of [system.apis[0]!, system.projectors[0]!]) {
        await eventually('an alarm', async () => {
          const { entry } = await entryOf(each, 'log-settings');
          return entry?.ok === false && entry.detail.includes('does not know') && entry.detail.includes('copy at');
        });
        expect(await metricOf(each, 'openmusic_log_alarms')).toBe(1);
      }
      await copy.close();
      for (const each of [system.apis[0]!, system.projectors[0]!]) {
        await eventually('no alarm', async () => (await entryOf(each, 'log-settings')).entry?.ok === true);
      }
    },
    LONG_MS,
  );

  describe('log adopt', () => {
    const processes: OpenMusicProcess[] = [];
    let third: TestDatabase | undefined;
    let adopter: LogOwner;
    let job: string;

    const adopt = (of: Settings, ...args: string[]) => openmusic(['log', 'adopt', ...args], of);
    const start = async (of: Settings, roles: string) => {
      const started = await startProcess({ env: { ...of, ROLES: roles } });
      processes.push(started);
      return started;
    };
    const stopAll = () => Promise.all(processes.splice(0).map((each) => each.end('SIGTERM')));
    const attempts = async (connection: PostgresConnection) => {
      const text = `SELECT headers ->> 'ce_time' AS time FROM ${system.namespace}_read_${READ_VERSION}_1.stream_events
        WHERE stream = '${job}' AND type = 'openmusic.JobAttemptStarted' ORDER BY version`;
      return (await sql<{ time: string }>(connection, system.namespace, text)).map(({ time }) => Date.parse(time));
    };

    beforeAll(async () => {
      adopter = await ownerOf(other.connection);
      const person = await newPerson(system.apis[0]!.url);
      const asked = await person.client.post('/jobs', { type: 'dummy', payload: { duration: 30_000 } });
      job = asked.body!.data!.jobId!;
      await eventually('the job runs', async () => (await attempts(system.connection)).length === 1);
      await system.workers[0]!.end('SIGKILL'); // its attempt may still run, as far as other processes can tell
    }, LONG_MS);
    afterAll(async () => {
      await stopAll();
      await third?.drop();
    });

    it(
      '--fence lists the living processes, and changes nothing without the identity of the owner',
      async () => {
        const { code, output } = await adopt(env, '--fence', '--owner', '1/2');
        expect(code).toBe(1);
        expect(output).toContain(`The log belongs to ${showOwner(owner)}`);
        expect(output).toContain(`in ${system.namespace}.projector.`);
        expect(output).toContain('> 1/2');
        expect(output).toContain('Nothing was changed');
        const unasked = await adopt(env, '--fence');
        expect(unasked.code).toBe(1);
        expect(unasked.output).toContain('There is no terminal to type it at: give it by --owner <identity>.');
        expect(await adopt(env, '--claim')).toMatchObject({
          code: 1,
          output: expect.stringContaining('never belonged'),
        });
        await newAlbum(client, 'still ours');
      },
      LONG_MS,
    );

    it(
      '--fence makes the processes of the owner exit for good, and logs who owns the log',
      async () => {
        const seldom = await startProcess({ env: { ...system.env, ROLES: 'api', LOG_CHECK_SECONDS: '3600' } });
        const adopted = await adopt({ ...env, READ_ONLY: 'on' }, '--fence', '--owner', showOwner(owner));
        expect(adopted).toMatchObject({ code: 0, output: expect.stringContaining(showOwner(adopter)) });
        expect(await Promise.all([...system.projectors, ...system.apis, seldom].map(({ ended }) => ended))).toEqual([
          1, 1, 1,
        ]);
        const [line] = linesOf(system.projectors[0]!, 'a partition is no longer consumed');
        expect(line?.reason).toContain(`the log belongs to the database ${showOwner(adopter)} from here on`);
        for (const role of ROLES) {
          expect(await refusalOf({ ...system.env, ROLES: role })).toContain(
            `the log belongs to the database ${showOwner(adopter)}`,
          );
        }
        expect((await system.cli('log', 'init')).code).toBe(1);
      },
      LONG_MS,
    );

    it(
      'lets the new owner continue with everything, and take over no attempt before it must have ended',
      async () => {
        const ATTEMPT_SECONDS = 20;
        const [api] = await Promise.all([
          start(env, 'api'),
          start(env, 'projector'),
          start({ ...env, JOB_ATTEMPT_SECONDS: String(ATTEMPT_SECONDS) }, 'exporter,worker,scheduler'),
        ]);
        const reader = createClient(api.url);
        expect((await reader.get(`/albums/${album}`)).status).toBe(200);
        expect((await reader.put(`/albums/${album}`, { name: 'of the new owner', year: 2001 })).status).toBe(200);
        expect(await openmusic(['log', 'verify'], env)).toMatchObject({ code: 0 });
        const text = 'SELECT adopted_at AS at FROM log_identity';
        const [adopted] = await sql<{ at: Date }>(other.connection, system.namespace, text);
        await eventually(
          'the attempt is taken over',
          async () => (await attempts(other.connection)).length === 2,
          120_000,
        );
        const [, second] = await attempts(other.connection);
        expect(second! - adopted!.at.getTime()).toBeGreaterThanOrEqual(ATTEMPT_SECONDS * 1_000);
      },
      LONG_MS,
    );

    it(
      '--claim takes the log back for a database that was restored with another identity, once no process of the old one lives',
      async () => {
        await stopAll();
        third = await cloneOf(other);
        const restored = { ...system.env, ...settingsOf(third.connection) };
        const refusal = await refusalOf({ ...restored, ROLES: 'projector' });
        for (const word of ['restored from a dump, or upgraded', showOwner(adopter), '--claim'])
          expect(refusal).toContain(word);
        expect(await openmusic(['log', 'init'], restored)).toMatchObject({
          code: 1,
          output: expect.stringContaining('--claim'),
        });
        await start(env, 'projector');
        expect(await adopt(restored, '--claim')).toMatchObject({
          code: 1,
          output: expect.stringContaining('The owner is alive'),
        });
        await stopAll();
        expect(await adopt(restored, '--claim')).toMatchObject({ code: 0 });
        const [api] = await Promise.all([start(restored, 'api'), start(restored, 'projector')]);
        const reader = createClient(api.url);
        expect((await reader.get(`/albums/${album}`)).body?.data?.album?.name).toBe('of the new owner');
        expect((await reader.put(`/albums/${album}`, { name: 'restored', year: 2001 })).status).toBe(200);
        await stopAll();
      },
      LONG_MS,
    );

    it(
      'a database that takes its log back continues past the fence that took it away, also in a rebuild',
      async () => {
        const identity = await ownerOf(third!.connection);
        expect(await adopt(system.env, '--fence', '--owner', showOwner(identity))).toMatchObject({ code: 0 });
        const [api] = await Promise.all([start(system.env, 'api'), start(system.env, 'projector')]);
        const reader = createClient(api.url);
        expect((await reader.get(`/albums/${album}`)).body?.data?.album?.name).toBe('restored');
        expect((await reader.put(`/albums/${album}`, { name: 'back', year: 2001 })).status).toBe(200);
        expect((await system.cli('projections', 'rebuild')).output).toContain('equals the live generation');
        expect(await system.cli('log', 'verify')).toMatchObject({ code: 0 });
      },
      LONG_MS,
    );
  });
});

/** The same data under another oid, as out of a dump. No client may be connected to the original. */
async function cloneOf({ connection }: TestDatabase): Promise<TestDatabase> {
  const copy = { connection: { ...connection, database: `${connection.database}_copy` } };
  const run = async (text: string) => {
    const client = new pg.Client({ ...connection, database: 'postgres' });
    await client.connect();
    await client.query(text).finally(() => client.end());
  };
  await run(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${connection.database}'`);
  await run(`CREATE DATABASE ${copy.connection.database} TEMPLATE ${connection.database}`);
  return { ...copy, drop: () => run(`DROP DATABASE IF EXISTS ${copy.connection.database} WITH (FORCE)`) };
}

/** A Postgres that can be copied while it runs. */
const REPLICATED = { wal_level: 'replica' };

describeDistributed('a copy of the files of Postgres', () => {
  let original: NativePostgres;
  let copy: NativePostgres | undefined;
  let home: string;
  let system: Distributed;

  beforeAll(async () => {
    home = await mkdtemp(path.join(tmpdir(), 'openmusic-copy-'));
    await chmod(home, 0o755);
    original = await startNativePostgres({ dir: path.join(home, 'original'), settings: REPLICATED });
    system = await startDistributed({ connection: original.connection });
  }, LONG_MS);
  afterAll(async () => {
    await system.stop();
    await copy?.stop();
    await original.stop();
    await rm(home, { recursive: true, force: true });
  });

  it(
    'is refused while processes of the original are alive, whose rows were copied too, and not after',
    async () => {
      await copyOnline(original.connection, path.join(home, 'original'), path.join(home, 'copy'));
      copy = await startNativePostgres({ dir: path.join(home, 'copy'), settings: REPLICATED });
      const env = { ...system.env, ...settingsOf(copy.connection) };
      expect(await ownerOf(copy.connection)).toEqual(await ownerOf(original.connection));
      const [rows] = await sql<{ count: number }>(
        copy.connection,
        system.namespace,
        'SELECT count(*) FROM log_clients',
      );
      expect(rows?.count).toBe(2);
      const refusal = await refusalOf({ ...env, ROLES: 'projector' });
      expect(refusal).toContain('a copy of the database is in use');
      const album = await newAlbum(createClient(system.apis[0]!.url), 'of the original');
      await Promise.all([...system.apis, ...system.projectors].map((each) => each.end('SIGKILL')));
      const projector = await startProcess({ env: { ...env, ROLES: 'projector' } });
      const api = await startProcess({ env: { ...env, ROLES: 'api' } });
      expect((await createClient(api.url).get(`/albums/${album}`)).status).toBe(200);
      await Promise.all([api, projector].map((each) => each.end('SIGTERM')));
    },
    LONG_MS,
  );
});

/** A copy as pg_basebackup makes it: the server runs meanwhile. */
async function copyOnline(connection: PostgresConnection, from: string, to: string): Promise<void> {
  const client = new pg.Client(connection);
  await client.connect();
  const copied = async () => {
    await client.query(`SELECT pg_backup_start('copy', true)`);
    await promisify(execFile)('cp', ['-a', from, to]);
    return client.query<{ labelfile: string }>('SELECT labelfile FROM pg_backup_stop(false)');
  };
  const { rows } = await copied().finally(() => client.end());
  const data = path.join(to, 'postgres');
  await promisify(execFile)('cp', ['-a', path.join(from, 'postgres', 'pg_wal'), data]);
  await rm(path.join(data, 'postmaster.pid'), { force: true });
  const label = path.join(data, 'backup_label');
  await writeFile(label, rows[0]!.labelfile);
  await promisify(execFile)('chown', [`--reference=${data}`, label]);
}
