import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { openLogUnder } from '../../src/log/embedded.ts';
import { READ_VERSION } from '../../src/projections/projections.ts';
import { claim, withCorruptHeader } from '../support/core.ts';
import { eventually } from '../support/observed.ts';
import { recordsOf } from '../support/records.ts';
import { openmusic, type OpenMusicProcess, startProcess } from '../support/processes.ts';
import { freePort } from '../support/ports.ts';
import { createDatabase, sharedRedis, type TestDatabase } from '../support/servers/index.ts';
import { createClient } from '../support/client.ts';
import { newPerson, type Person } from '../support/people.ts';
import { claimsOf, forge } from '../support/tokens.ts';

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
  test('keeps acknowledged writes after kill -9', async () => {
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

  test('drains and exits 0 on SIGTERM; a second server on the same data is refused meanwhile', async () => {
    const env = { DATA_DIR: directory() };
    const app = await start({ env });
    await expect(startProcess({ env })).rejects.toThrow(/ended with 1:.*is in use by another OpenMusic process/s);
    const id = await createAlbum(app.url, 'still here');
    expect(await nameOf(app.url, id)).toBe('still here');
    expect(await app.end('SIGTERM')).toBe(0);
  });

  test('serves a rebuild made beside a running server, which equals the live one', async () => {
    const env = { DATA_DIR: directory() };
    const app = await start({ env });
    const id = await createAlbum(app.url, 'before');
    const { code, output } = await openmusic(['projections', 'rebuild'], env);
    expect({ code, output }).toMatchObject({
      code: 0,
      output: expect.stringContaining(`openmusic_read_${READ_VERSION}_2`),
    });
    const after = await createAlbum(app.url, 'after');
    expect([await nameOf(app.url, id), await nameOf(app.url, after)]).toEqual(['before', 'after']);
    const health = async () => JSON.stringify(await (await fetch(`${app.url}/health`)).json());
    while (!(await health()).includes(`reading openmusic_read_${READ_VERSION}_2`)) await new Promise(setImmediate);
    expect([await nameOf(app.url, id), await nameOf(app.url, after)]).toEqual(['before', 'after']);
  });

  test('frees a partition by log void, through a running server or without one, and publishes it in the topic', async () => {
    const { connection, drop } = await createDatabase();
    const { host, port, user, password, database } = connection;
    const address = { PGHOST: host, PGPORT: String(port), PGUSER: user, PGPASSWORD: password, PGDATABASE: database };
    const env = { DATA_DIR: directory(), PARTITIONS: '1', ...address };
    const app = await start({ env });
    const lock = { held: () => Promise.resolve(), stop: () => Promise.resolve() };
    const log = await openLogUnder(lock, { connection, namespace: 'openmusic', log: () => undefined });
    const record = withCorruptHeader(claim({ stream: 'album-1' }));
    await log.append([{ topic: 'openmusic.catalog', partition: 0, record }]);
    await eventually('it has stopped', () => app.output().includes('a partition is no longer consumed'));
    const declare = ['log', 'void', 'openmusic.catalog/0@1', '--why', 'a test'];
    const unreachable = await openmusic([...declare, '--url', `http://127.0.0.1:${await freePort()}`], env);
    expect(unreachable).toMatchObject({ code: 1, output: expect.stringContaining('or name it by --url') });
    expect(await log.ends([{ topic: 'openmusic.voids', partition: 0 }])).toMatchObject([{ offset: 0 }]);
    const voided = await openmusic([...declare, '--url', app.url], env);
    expect(voided).toEqual({ code: 0, output: 'openmusic.catalog/0@1 is void from now on.\n' });
    const [entry] = recordsOf(await log.read({ topic: 'openmusic.voids', partition: 0, offset: 0 }));
    expect(entry?.key).toBe('openmusic.catalog/0@1');
    await eventually('it goes on', () => createAlbum(app.url, 'behind it').then(Boolean, () => false));
    const { code, output } = await openmusic(['log', 'verify'], env);
    expect([code, output]).toEqual([0, expect.stringContaining('1 declared void')]);
    await log.append([{ topic: 'openmusic.catalog', partition: 0, record }]);
    const [end] = await log.ends([{ topic: 'openmusic.catalog', partition: 0 }]);
    const second = `openmusic.catalog/0@${end!.offset - 1}`;
    const stops = () => app.output().split('a partition is no longer consumed').length;
    await eventually('it has stopped again', () => stops() === 3);
    await log.close();
    await app.end('SIGTERM');
    const stopped = await openmusic(['log', 'void', second, '--why', 'a test'], env);
    expect(stopped).toEqual({ code: 0, output: `${second} is void from now on.\n` });
    await drop();
  }, 180_000);

  test('reports a wrong setting in one clear line and exits with 1', async () => {
    await expect(startProcess({ env: { PORT: 'many' } })).rejects.toThrow(/ended with 1:\nopenmusic: PORT: [^\n]*\n$/);
  });
});

describe('the .env of an earlier OpenMusic version', () => {
  const TOKENS = { ACCESS_TOKEN_KEY: 'a'.repeat(64), REFRESH_TOKEN_KEY: 'b'.repeat(64), ACCESS_TOKEN_AGE: '900' };
  let database: TestDatabase;
  let cwd: string;
  let port: number;
  beforeEach(async () => {
    [database, cwd, port] = [await createDatabase(), directory(), await freePort()];
  });
  afterEach(() => database.drop());

  /** Starts it in the directory of that file, with no other settings. */
  async function startWith(tokens: Record<string, string>): Promise<OpenMusicProcess> {
    const { connection } = database;
    const redis = await sharedRedis();
    const lines = {
      HOST: '127.0.0.1',
      PORT: String(port),
      PGHOST: connection.host,
      PGPORT: String(connection.port),
      PGUSER: connection.user,
      PGPASSWORD: connection.password,
      PGDATABASE: connection.database,
      ...tokens,
      RABBITMQ_SERVER: 'amqp://localhost',
      ...(redis ? redisLines(redis) : {}),
      SMTP_HOST: 'smtp.example.com',
      SMTP_PORT: '2525',
      SMTP_USER: 'user',
      SMTP_PASSWORD: 'password',
    };
    const text = Object.entries(lines).map(([name, value]) => `${name}=${value}\n`);
    writeFileSync(path.join(cwd, '.env'), text.join(''));
    return startProcess({ env: { PORT: lines.PORT }, cwd, port });
  }

  const refresh = ({ url }: OpenMusicProcess, { refreshToken }: Person) =>
    createClient(url).put('/authentications', { refreshToken });
  const ageOf = (token: string) => Number(claimsOf(token).exp) - Number(claimsOf(token).iat);

  test('starts it, with one warning', async () => {
    const app = await startWith(TOKENS);
    const id = await createAlbum(app.url, 'as before');
    expect(await nameOf(app.url, id)).toBe('as before');
    expect(app.output().match(/RABBITMQ_SERVER is ignored/g)).toHaveLength(1);
    expect(await app.end('SIGTERM')).toBe(0);
  });

  test('signs tokens with its keys, for the configured lifetime; they outlive a restart', async () => {
    const first = await startWith(TOKENS);
    const person = await newPerson(first.url);
    const { accessToken, refreshToken } = person;
    expect(forge(claimsOf(accessToken), TOKENS.ACCESS_TOKEN_KEY)).toBe(accessToken);
    expect(forge(claimsOf(refreshToken), TOKENS.REFRESH_TOKEN_KEY)).toBe(refreshToken);
    expect([ageOf(accessToken), ageOf(refreshToken)]).toEqual([900, 604_800]);
    await first.end('SIGTERM');
    const second = await startWith(TOKENS);
    expect((await person.client.get('/playlists')).status).toBe(200);
    expect((await refresh(second, person)).status).toBe(200);
    await second.end('SIGTERM');
  });

  test('generates missing keys once', async () => {
    const first = await startWith({});
    const person = await newPerson(first.url);
    await first.end('SIGTERM');
    const keys = path.join(cwd, 'data', 'keys');
    const modes = readdirSync(keys).map((name) => [name, statSync(path.join(keys, name)).mode & 0o777]);
    expect(modes).toEqual(['access-token', 'idempotency-hash', 'link', 'refresh-token'].map((name) => [name, 0o600]));
    const second = await startWith({});
    expect((await person.client.get('/playlists')).status).toBe(200);
    expect((await refresh(second, person)).status).toBe(200);
    await second.end('SIGTERM');
  });

  test('reports keys that are too short in one line', async () => {
    const short = 'must be at least 32 bytes; `openssl rand -base64 48` makes one';
    const line = `openmusic: ACCESS_TOKEN_KEY: ${short}; REFRESH_TOKEN_KEY: ${short}`;
    const started = startWith({ ACCESS_TOKEN_KEY: 'secret', REFRESH_TOKEN_KEY: 'x'.repeat(31) });
    await expect(started).rejects.toThrow(new RegExp(`ended with 1:\\n${line}\\n$`));
  });
});

const redisLines = ({ url }: { url: string }) => ({
  REDIS_SERVER: new URL(url).hostname,
  REDIS_PORT: new URL(url).port,
});
