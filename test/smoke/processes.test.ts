import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createClient } from '../support/client.ts';
import { KEYS } from '../support/keys.ts';
import { openmusic, type OpenMusicProcess, startProcess } from '../support/processes.ts';
import {
  createDatabase,
  describeWithKafka,
  namespace,
  sharedRedis,
  type TestDatabase,
} from '../support/servers/index.ts';

/** Kafka and Redis with a process for each role, once; test/faults has the long tests. */
describeWithKafka('separate processes on Kafka', ({ brokers }) => {
  const running: OpenMusicProcess[] = [];
  let database: TestDatabase;
  let dataDir: string;
  let env: Record<string, string>;
  beforeAll(async () => {
    [database, dataDir] = [await createDatabase(), await mkdtemp(path.join(tmpdir(), 'openmusic-processes-'))];
    const { host, port, user, password, database: name } = database.connection;
    const redis = await sharedRedis();
    env = {
      KAFKA_BROKERS: brokers.join(),
      NAMESPACE: namespace(),
      DATA_DIR: dataDir,
      ...KEYS,
      PGHOST: host,
      PGPORT: String(port),
      PGUSER: user,
      PGPASSWORD: password,
      PGDATABASE: name,
      REDIS_URL: redis?.url ?? 'redis://localhost:1',
    };
  });
  afterAll(async () => {
    await Promise.all(running.map((each) => each.end('SIGTERM')));
    await database.drop();
    await rm(dataDir, { recursive: true });
  });

  async function start(ROLES: string): Promise<OpenMusicProcess> {
    const started = await startProcess({ env: { ...env, ROLES } });
    running.push(started);
    return started;
  }

  async function createAlbum({ url }: OpenMusicProcess, name: string, headers: Record<string, string> = {}) {
    const { status, body } = await createClient(url).post('/albums', { name, year: 2008 }, headers);
    expect(status).toBe(201);
    return body?.data?.albumId ?? '';
  }

  const nameOf = async ({ url }: OpenMusicProcess, id: string) =>
    (await createClient(url).get(`/albums/${id}`)).body?.data?.album?.name;

  test('a write through one API process is visible through another; a retry with its key has one effect', async () => {
    await expect(start('api')).rejects.toThrow(/log init/);
    expect(await openmusic(['log', 'init'], env)).toMatchObject({ code: 0, output: expect.stringContaining('ready') });
    const [, one, other] = await Promise.all([start('projector'), start('api'), start('api')]);

    const ids = await Promise.all(Array.from({ length: 50 }, (_, i) => createAlbum(one, `album ${i}`)));
    const names = await Promise.all(ids.map((id) => nameOf(other, id)));
    expect(names).toEqual(ids.map((_, i) => `album ${i}`));

    const key = { 'idempotency-key': 'only-once-in-all-processes' };
    const both = await Promise.all([createAlbum(one, 'once', key), createAlbum(other, 'once', key)]);
    expect(both[0]).toBe(both[1]);
    const { output } = await openmusic(['log', 'verify'], env);
    expect(output).toContain('The log is sound.');
  });
});
