import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { openKafkaLog } from '../../src/log/kafka.ts';
import { readOwner, showOwner } from '../../src/log/owner.ts';
import type { LogOwner } from '../../src/events/genesis.ts';
import type { EventLog } from '../../src/log/event-log.ts';
import type { PostgresConnection } from '../../src/postgres/connection.ts';
import { openDatabase } from '../../src/postgres/pool.ts';
import { READ_VERSION } from '../../src/projections/projections.ts';
import { Follower } from '../contract/follower.ts';
import { type Client, createClient } from '../support/client.ts';
import { describeDistributed, type Distributed, type Settings, startDistributed } from '../support/distributed.ts';
import { entryOf, eventually, linesOf, metricOf } from '../support/observed.ts';
import { newPerson } from '../support/people.ts';
import { openmusic, type OpenMusicProcess, startProcess } from '../support/processes.ts';
import { refusalOf } from '../support/refused.ts';
import { createDatabase, type TestDatabase } from '../support/servers/index.ts';

const LONG_MS = 240_000;
const ROLES = ['api', 'projector', 'exporter', 'worker', 'scheduler'];

const settingsOf = ({ host, port, user, password, database }: PostgresConnection): Settings => ({
  ...{ PGHOST: host, PGPORT: String(port), PGUSER: user, PGPASSWORD: password, PGDATABASE: database },
});

async function ownerOf(connection: PostgresConnection): Promise<LogOwner> {
  const database = openDatabase(connection, { name: 'test', max: 1, searchPath: ['public'] });
  return readOwner(database).finally(() => database.stop());
}

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
  /** Of the other database. */
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
    await system?.stop();
    await other?.drop();
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

    it('reads what the owner has, and what it writes later', async () => {
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

    it('is in groups of its own, and leaves those of the owner alone', async () => {
      expect(await members()).toEqual(before);
      expect(await members(await ownerOf(other.connection))).toEqual([
        expect.stringMatching(
          new RegExp(`^${system.namespace}\\.projector\\.${system.namespace}_read_${READ_VERSION}_1\\.[0-9a-f]{8} `),
        ),
      ]);
    });

    it('refuses every write with READ_ONLY, and registers and logs in people of its own', async () => {
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

    it('is ready, and says so of nothing that it does not do', async () => {
      const { body, status } = await reader.get('/readyz');
      expect(status).toBe(200);
      const { checks } = body!.data as unknown as { checks: Record<string, { ok: boolean }> };
      expect(Object.keys(checks).sort()).not.toContain('worker');
      expect(Object.values(checks).every(({ ok }) => ok)).toBe(true);
    });
  });

  it(
    'neither a start without READ_ONLY of the follower nor one with it of the owner is possible',
    async () => {
      const refusal = await refusalOf({ ...env, ROLES: 'projector' });
      expect(refusal).toContain(`the log belongs to the database ${showOwner(owner)}`);
      expect(refusal).toContain('log adopt --fence');
      expect(await refusalOf({ ...system.env, READ_ONLY: 'on', ROLES: 'api' })).toContain('without READ_ONLY');
    },
    LONG_MS,
  );

  it(
    'a process in the groups that this database does not know is an alarm for as long as it is there',
    async () => {
      const brokers = system.env.KAFKA_BROKERS!.split(',');
      const groups = { namespace: system.namespace, of: owner };
      const copy = await openKafkaLog({ brokers, clientId: 'copy', groups, logger: () => undefined });
      opened.push(copy);
      await copy.subscribe({
        ...{ group: `${system.namespace}.copy`, topics: [`${system.namespace}.catalog`], handler: new Follower() },
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
});
