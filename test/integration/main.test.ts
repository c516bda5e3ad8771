import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { openmusic, type OpenMusicProcess, startProcess } from '../support/processes.ts';
import { freePort } from '../../src/stack/ports.ts';
import { createDatabase, describeWithKafka, namespace, servers } from '../support/servers/index.ts';

const running: OpenMusicProcess[] = [];
const directories: string[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((app) => app.end('SIGTERM')));
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

async function start(options: Parameters<typeof startProcess>[0]): Promise<OpenMusicProcess> {
  const app = await startProcess(options);
  running.push(app);
  return app;
}

function directory(): string {
  const made = mkdtempSync(path.join(tmpdir(), 'openmusic-main-'));
  directories.push(made);
  return made;
}

const json = { 'content-type': 'application/json' };

async function createAlbum(url: string, name: string, headers: Record<string, string> = {}): Promise<string> {
  const body = JSON.stringify({ name, year: 2008 });
  const answer = await fetch(`${url}/albums`, { method: 'POST', headers: { ...json, ...headers }, body });
  const { data } = (await answer.json()) as { data: { albumId: string } };
  expect(answer.status).toBe(201);
  return data.albumId;
}

async function nameOf(url: string, id: string): Promise<string | undefined> {
  const answer = await fetch(`${url}/albums/${id}`);
  const { data } = (await answer.json()) as { data?: { album: { name: string } } };
  return data?.album.name;
}

describe('npm start on embedded data', () => {
  test('what was acknowledged survives kill -9', async () => {
    const env = { DATA_DIR: directory() };
    const first = await start({ env });
    const acknowledged: string[] = [];
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let i = 0; ; i++) acknowledged.push(await createAlbum(first.url, `${writer}-${i}`));
    });
    while (acknowledged.length < 200) await new Promise(setImmediate);
    await first.end('SIGKILL');
    await Promise.allSettled(writers);

    const second = await start({ env });
    const names = await Promise.all(acknowledged.map((id) => nameOf(second.url, id)));
    expect(names.filter((name) => name === undefined)).toEqual([]);
    await second.end('SIGTERM');
    const { code, output } = await openmusic(['log', 'verify'], env);
    expect({ code, output }).toMatchObject({ code: 0, output: expect.stringContaining('The log is sound.') });
  });

  test('SIGTERM drains and exits 0; a second server on the same data is refused meanwhile', async () => {
    const env = { DATA_DIR: directory() };
    const app = await start({ env });
    await expect(startProcess({ env })).rejects.toThrow(/ended with 1:.*is in use by another OpenMusic process/s);
    const id = await createAlbum(app.url, 'still here');
    expect(await nameOf(app.url, id)).toBe('still here');
    expect(await app.end('SIGTERM')).toBe(0);
  });

  test('a rebuild beside a running server equals what it serves, and readers move over', async () => {
    const env = { DATA_DIR: directory() };
    const app = await start({ env });
    const id = await createAlbum(app.url, 'before');
    const { code, output } = await openmusic(['projections', 'rebuild'], env);
    expect({ code, output }).toMatchObject({ code: 0, output: expect.stringContaining('openmusic_read_1_2') });
    const after = await createAlbum(app.url, 'after');
    expect([await nameOf(app.url, id), await nameOf(app.url, after)]).toEqual(['before', 'after']);
    const health = async () => JSON.stringify(await (await fetch(`${app.url}/health`)).json());
    while (!(await health()).includes('reading openmusic_read_1_2')) await new Promise(setImmediate);
    expect([await nameOf(app.url, id), await nameOf(app.url, after)]).toEqual(['before', 'after']);
  });

  test('a wrong setting is one clear line and exit 1', async () => {
    await expect(startProcess({ env: { PORT: 'many' } })).rejects.toThrow(/ended with 1:\nopenmusic: PORT: [^\n]*\n$/);
  });
});

test('the .env of an earlier OpenMusic version starts it, with one warning', async () => {
  const { connection, drop } = await createDatabase();
  const cwd = directory();
  const lines = {
    HOST: '127.0.0.1',
    PORT: String(await freePort()),
    ...{ PGHOST: connection.host, PGPORT: String(connection.port), PGUSER: connection.user },
    ...{ PGPASSWORD: connection.password, PGDATABASE: connection.database },
    ...{ ACCESS_TOKEN_KEY: 'a'.repeat(64), REFRESH_TOKEN_KEY: 'b'.repeat(64), ACCESS_TOKEN_AGE: '1800' },
    RABBITMQ_SERVER: 'amqp://localhost',
    ...('url' in servers().redis ? redisLines(servers().redis as { url: string }) : {}),
    ...{ SMTP_HOST: 'smtp.example.com', SMTP_PORT: '2525', SMTP_USER: 'user', SMTP_PASSWORD: 'password' },
  };
  writeFileSync(
    path.join(cwd, '.env'),
    Object.entries(lines)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  );
  const app = await startProcess({ env: { PORT: lines.PORT }, cwd, port: Number(lines.PORT) });
  const id = await createAlbum(app.url, 'as before');
  expect(await nameOf(app.url, id)).toBe('as before');
  expect(app.output().match(/RABBITMQ_SERVER is ignored/g)).toHaveLength(1);
  expect(await app.end('SIGTERM')).toBe(0);
  await drop();
});

const redisLines = ({ url }: { url: string }) => ({
  REDIS_SERVER: new URL(url).hostname,
  REDIS_PORT: new URL(url).port,
});

describeWithKafka('separate processes on Kafka', ({ brokers }) => {
  test('a write through one API process is seen through another; a retry with its key has one effect', async () => {
    const { connection, drop } = await createDatabase();
    const { redis } = servers();
    const env = {
      ...{ KAFKA_BROKERS: brokers.join(), NAMESPACE: namespace(), DATA_DIR: directory() },
      ...{ PGHOST: connection.host, PGPORT: String(connection.port), PGUSER: connection.user },
      ...{ PGPASSWORD: connection.password, PGDATABASE: connection.database },
      ...{ REDIS_URL: 'url' in redis ? redis.url : 'redis://localhost:1', IDEMPOTENCY_HASH_KEY: 'k'.repeat(32) },
    };
    await expect(startProcess({ env: { ...env, ROLES: 'api' } })).rejects.toThrow(/log init/);
    expect(await openmusic(['log', 'init'], env)).toMatchObject({ code: 0, output: expect.stringContaining('ready') });
    await start({ env: { ...env, ROLES: 'projector' } });
    const [one, other] = [
      await start({ env: { ...env, ROLES: 'api' } }),
      await start({ env: { ...env, ROLES: 'api' } }),
    ];

    const ids = await Promise.all(Array.from({ length: 50 }, (_, i) => createAlbum(one.url, `album ${i}`)));
    const names = await Promise.all(ids.map((id) => nameOf(other.url, id)));
    expect(names).toEqual(ids.map((_, i) => `album ${i}`));

    const key = { 'idempotency-key': 'only-once' };
    const both = await Promise.all([createAlbum(one.url, 'once', key), createAlbum(other.url, 'once', key)]);
    expect(both[0]).toBe(both[1]);
    const { output } = await openmusic(['log', 'verify'], env);
    expect(output).toContain('The log is sound.');
    await Promise.all(running.splice(0).map((app) => app.end('SIGTERM')));
    await drop();
  });
});
