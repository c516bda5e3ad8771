import { createHash, randomUUID } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { sql } from 'slonik';
import { createAccounts } from '../../src/accounts/accounts.ts';
import { createPasswords } from '../../src/accounts/passwords.ts';
import { createSessions } from '../../src/accounts/sessions.ts';
import type { PostgresConnection } from '../../src/postgres/connection.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { openRows } from '../../src/postgres/rows.ts';
import { createClient } from '../support/client.ts';
import { httpApp, type Substitutes } from '../support/http-app.ts';
import { KEYS } from '../support/keys.ts';
import { newPerson, newUsername } from '../support/people.ts';
import { openmusic, type OpenMusicProcess, startProcess } from '../support/processes.ts';
import { type Link, startProxy } from '../support/proxy.ts';
import { createDatabase, namespace, type TestDatabase } from '../support/servers/index.ts';

const PHC = /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/;

let database: TestDatabase;
let name: string;
let admin: pg.Client;
let api: Api;
beforeAll(async () => {
  database = await createDatabase();
  name = namespace();
  await migrate({ connection: database.connection, namespace: name });
  admin = new pg.Client({ ...database.connection, options: `-c search_path=${name}` });
  await admin.connect();
  api = await startApi();
});
afterAll(async () => {
  await api.stop();
  await admin.end();
  await database.drop();
});

type Api = Awaited<ReturnType<typeof startApi>>;

/** The API over real accounts. */
async function startApi(
  overrides: Substitutes = {},
  connection: PostgresConnection = database.connection,
  queryTimeoutMs = 10_000,
) {
  const rows = await openRows(connection, { name: 'accounts', max: 4, searchPath: [name, 'public'], queryTimeoutMs });
  const accounts = createAccounts(rows, createPasswords());
  const { app } = httpApp({ accounts, sessions: createSessions(rows), ...overrides });
  const send =
    (method: 'POST' | 'PUT' | 'DELETE', url: string) =>
    (body: object, headers: Record<string, string> = {}) =>
      app.inject({ method, url, body, headers });
  return {
    register: send('POST', '/users'),
    logIn: send('POST', '/authentications'),
    refresh: send('PUT', '/authentications'),
    logOut: send('DELETE', '/authentications'),
    async stop() {
      await app.close();
      await rows.stop();
    },
  };
}

const registration = (change: object = {}) => ({
  ...{ username: newUsername(), password: 'secret', fullname: 'Chris Martin' },
  ...change,
});

const select = async (text: string, ...values: unknown[]) =>
  (await admin.query<Record<string, unknown>>(text, values)).rows;

/** How often each status occurs. */
function tally(answers: readonly { statusCode: number }[]): Record<number, number> {
  const counted: Record<number, number> = {};
  for (const { statusCode } of answers) counted[statusCode] = (counted[statusCode] ?? 0) + 1;
  return counted;
}

async function newSession() {
  const whom = registration();
  await api.register(whom);
  const { accessToken, refreshToken } = (await api.logIn(credentialsOf(whom))).json<{
    data: { accessToken: string; refreshToken: string };
  }>().data;
  return { ...whom, accessToken, refreshToken };
}

const credentialsOf = ({ username, password }: { username: string; password: string }) => ({ username, password });

describe('registering', () => {
  it('50 times at once under one name succeeds once', async () => {
    const username = newUsername();
    const all = await Promise.all(
      Array.from({ length: 50 }, (_, n) => api.register(registration({ username, fullname: `Number ${n}` }))),
    );
    expect(tally(all)).toEqual({ 201: 1, 400: 49 });
    const codes = all.filter(({ statusCode }) => statusCode === 400).map((each) => each.json<{ code: string }>().code);
    expect(new Set(codes)).toEqual(new Set(['USERNAME_TAKEN']));
    const winner = all.findIndex(({ statusCode }) => statusCode === 201);
    const { userId } = all[winner]!.json<{ data: { userId: string } }>().data;
    const found = await select('SELECT id, fullname FROM accounts WHERE username = $1', username);
    expect(found).toEqual([{ id: userId, fullname: `Number ${winner}` }]);
  });

  it('20 times at once under one Idempotency-Key makes one account', async () => {
    const [whom, key] = [registration(), { 'idempotency-key': randomUUID() }];
    const all = await Promise.all(Array.from({ length: 20 }, () => api.register(whom, key)));
    expect(tally(all)).toEqual({ 201: 20 });
    expect(new Set(all.map(({ body }) => body)).size).toBe(1);
    const replayed = all.filter(({ headers }) => headers['idempotency-replayed'] === 'true');
    expect(replayed).toHaveLength(19);
    expect(await select('SELECT count(*)::int AS n FROM accounts WHERE username = $1', whom.username)).toEqual([
      { n: 1 },
    ]);
    const other = await api.register({ ...whom, password: 'another' }, key);
    expect([other.statusCode, other.json<{ code: string }>().code]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED']);
  });

  it('at once under one Idempotency-Key with different bodies makes one account, and the others are told', async () => {
    const key = { 'idempotency-key': randomUUID() };
    const all = await Promise.all(Array.from({ length: 10 }, () => api.register(registration(), key)));
    expect(tally(all)).toEqual({ 201: 1, 422: 9 });
  });

  it('again is recognised when the key of the body’s hash has changed', async () => {
    const [whom, key] = [registration(), { 'idempotency-key': randomUUID() }];
    await api.register(whom, key);
    const [before, now] = [KEYS.IDEMPOTENCY_HASH_KEY, 'n'.repeat(32)];
    const rotated = await startApi({ idempotencyKeys: { current: now, previous: before } });
    const forgetful = await startApi({ idempotencyKeys: { current: now } });
    const answers = [await rotated.register(whom, key), await forgetful.register(whom, key)];
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([201, 422]);
    await Promise.all([rotated.stop(), forgetful.stop()]);
  });

  it('under a key that met a taken name is judged again', async () => {
    const { username } = await newSession();
    const key = { 'idempotency-key': randomUUID() };
    expect((await api.register(registration({ username }), key)).statusCode).toBe(400);
    expect((await api.register(registration(), key)).statusCode).toBe(201);
  });
});

describe('what is stored', () => {
  it('is a hash of the password, and hashes of refresh tokens', async () => {
    const { username, refreshToken } = await newSession();
    const [account] = await select('SELECT id, role, password_hash FROM accounts WHERE username = $1', username);
    expect(account).toMatchObject({ role: 'user', password_hash: expect.stringMatching(PHC) });
    const [token] = await select('SELECT token_hash FROM refresh_tokens WHERE account_id = $1', account?.id);
    expect(token).toEqual({ token_hash: createHash('sha256').update(refreshToken).digest() });
  });

  it('lets nobody in who has read it', async () => {
    const secret = `secret-${randomUUID()}`;
    const whom = registration({ password: secret });
    await api.register(whom, { 'idempotency-key': randomUUID() });
    const { refreshToken, accessToken } = (await api.logIn({ username: whom.username, password: secret })).json<{
      data: Record<string, string>;
    }>().data;
    const stored = await select(
      'SELECT to_jsonb(a)::text AS t FROM accounts a UNION ALL SELECT to_jsonb(t)::text FROM refresh_tokens t',
    );
    const all = JSON.stringify(stored);
    for (const each of [secret, refreshToken, accessToken, Buffer.from(secret).toString('hex')])
      expect(all).not.toContain(each);
    const [{ token_hash: hash } = {}] = await select('SELECT token_hash FROM refresh_tokens LIMIT 1');
    expect((await api.refresh({ refreshToken: (hash as Buffer).toString('hex') })).statusCode).toBe(400);
  });
});

describe('logging in', () => {
  it('answers an unknown user and a wrong password alike, in all but the request’s id', async () => {
    const { username } = await newSession();
    const wrong = await api.logIn({ username, password: 'wrong!' });
    const unknown = await api.logIn({ username: newUsername(), password: 'wrong!' });
    const told = ({ statusCode, statusMessage, headers, body }: typeof wrong) => {
      const id = String(headers['x-request-id']);
      return {
        statusCode,
        statusMessage,
        headers: { ...headers, 'x-request-id': '', date: '' },
        body: body.replace(id, ''),
      };
    };
    expect(told(unknown)).toEqual(told(wrong));
    expect(told(wrong)).toMatchObject({ statusCode: 401, body: expect.stringContaining('WRONG_CREDENTIALS') });
  });

  it('tells upper from lower case, and looks at the whole password', async () => {
    const whom = registration({ username: `Ä${newUsername()}`, password: `${'x'.repeat(999)}y` });
    await api.register(whom);
    const tries = [
      whom,
      { ...whom, username: whom.username.toLowerCase() },
      { ...whom, password: `${'x'.repeat(999)}z` },
      { ...whom, password: whom.password.slice(0, -1) },
    ];
    const answers = await Promise.all(tries.map((each) => api.logIn(credentialsOf(each))));
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([201, 401, 401, 401]);
  });
});

describe('a refresh token', () => {
  const INVALID = [400, 'INVALID_REFRESH_TOKEN'];
  const statusAndCode = (answer: Awaited<ReturnType<Api['refresh']>>) => [
    answer.statusCode,
    answer.json<{ code?: string }>().code,
  ];

  it('outlives the process that gave it', async () => {
    const { refreshToken } = await newSession();
    const next = await startApi();
    expect((await next.refresh({ refreshToken })).statusCode).toBe(200);
    expect((await next.logOut({ refreshToken })).statusCode).toBe(200);
    await next.stop();
    expect(statusAndCode(await api.refresh({ refreshToken }))).toEqual(INVALID);
  });

  it('is deleted once, however many ask at once; another one of the same account stays', async () => {
    const { refreshToken, ...whom } = await newSession();
    const second = (await api.logIn(credentialsOf(whom))).json<{ data: { refreshToken: string } }>().data.refreshToken;
    const all = await Promise.all(Array.from({ length: 20 }, () => api.logOut({ refreshToken })));
    expect(tally(all)).toEqual({ 200: 1, 400: 19 });
    expect(statusAndCode(await api.refresh({ refreshToken }))).toEqual(INVALID);
    expect((await api.refresh({ refreshToken: second })).statusCode).toBe(200);
  });

  it('is refused once it has expired, and is swept at the next login', async () => {
    const { refreshToken, ...whom } = await newSession();
    const of = `(SELECT id FROM accounts WHERE username = $1)`;
    await select(
      `UPDATE refresh_tokens SET expires_at = now() - interval '1 ms' WHERE account_id = ${of}`,
      whom.username,
    );
    expect(statusAndCode(await api.refresh({ refreshToken }))).toEqual(INVALID);
    expect(statusAndCode(await api.logOut({ refreshToken }))).toEqual(INVALID);
    await api.logIn(credentialsOf(whom));
    const left = await select(
      `SELECT expires_at > now() AS good FROM refresh_tokens WHERE account_id = ${of}`,
      whom.username,
    );
    expect(left).toEqual([{ good: true }]);
  });

  it('is refused once its account has had a thousand later ones', async () => {
    const { refreshToken: oldest, ...whom } = await newSession();
    await admin.query(
      `INSERT INTO refresh_tokens (token_hash, account_id, expires_at)
        SELECT sha256(convert_to($1 || n, 'UTF8')), (SELECT id FROM accounts WHERE username = $1), now() + interval '8 days'
        FROM generate_series(1, 999) n`,
      [whom.username],
    );
    expect((await api.refresh({ refreshToken: oldest })).statusCode).toBe(200);
    expect((await api.logIn(credentialsOf(whom))).statusCode).toBe(201);
    expect((await api.refresh({ refreshToken: oldest })).statusCode).toBe(400);
    const [{ count }] = (await select(
      'SELECT count(*)::int AS count FROM refresh_tokens t JOIN accounts a ON a.id = t.account_id WHERE username = $1',
      whom.username,
    )) as [{ count: number }];
    expect(count).toBe(1_000);
  });

  it('is refused when it is signed as ours but was never given', async () => {
    const { refreshToken } = await newSession();
    await select('DELETE FROM refresh_tokens');
    expect(statusAndCode(await api.refresh({ refreshToken }))).toEqual(INVALID);
  });

  it('goes with its account', async () => {
    const { refreshToken, username } = await newSession();
    await select('DELETE FROM accounts WHERE username = $1', username);
    expect(statusAndCode(await api.refresh({ refreshToken }))).toEqual(INVALID);
  });

  it('gives the role that the account has now', async () => {
    const { refreshToken, username } = await newSession();
    await select(`UPDATE accounts SET role = 'analytics' WHERE username = $1`, username);
    const { accessToken } = (await api.refresh({ refreshToken })).json<{ data: { accessToken: string } }>().data;
    expect(accessToken.split('.').map((part) => Buffer.from(part, 'base64url').toString())[1]).toContain(
      '"role":"analytics"',
    );
  });
});

describe('while Postgres', () => {
  const to = () => ({ host: database.connection.host, port: database.connection.port });
  const UNAVAILABLE = { statusCode: 503, code: 'DATABASE_UNAVAILABLE', retryAfter: '1' };
  const told = ({ statusCode, headers, ...answer }: Awaited<ReturnType<Api['logIn']>>) => ({
    ...{ statusCode, code: answer.json<{ code?: string }>().code, retryAfter: headers['retry-after'] },
  });

  it('breaks connections, a login is 503, and then it works again', async () => {
    const whom = credentialsOf(await newSession());
    const links: Link[] = [];
    let open = true;
    const proxy = await startProxy(to(), (link) => {
      links.push(link);
      if (open) link.client.pipe(link.server).pipe(link.client);
      else link.cut();
    });
    const { host, port } = proxy;
    const through = await startApi({}, { ...database.connection, host, port });
    expect((await through.logIn(whom)).statusCode).toBe(201);
    open = false;
    for (const link of links.splice(0)) link.cut();
    for (let time = 0; time < 3; time++) expect(told(await through.logIn(whom))).toEqual(UNAVAILABLE);
    open = true;
    expect((await through.logIn(whom)).statusCode).toBe(201);
    await through.stop();
    await proxy.close();
  });

  it('does not listen any more, its pool says so in the words of the network', async () => {
    const proxy = await startProxy(to(), ({ client, server }) => client.pipe(server).pipe(client));
    const connection = { ...database.connection, host: proxy.host, port: proxy.port };
    const rows = await openRows(connection, { name: 'accounts', max: 1, searchPath: [name] });
    await rows.query(sql.unsafe`SELECT 1`);
    await proxy.close();
    await expect(rows.query(sql.unsafe`SELECT 1`)).rejects.toThrow(); // the connection that was, or no new one
    await expect(rows.query(sql.unsafe`SELECT 1`)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await rows.stop();
  });

  it('ends connections under a query, a login is 503, and then it works again', async () => {
    const whom = credentialsOf(await newSession());
    await select('BEGIN');
    await select('LOCK TABLE accounts');
    const stuck = api.logIn(whom);
    const blocked = `SELECT pg_terminate_backend(pid, 5000) AS ended FROM pg_stat_activity
      WHERE datname = current_database() AND wait_event_type = 'Lock'`;
    while ((await select(blocked)).length === 0) await new Promise(setImmediate);
    expect(told(await stuck)).toEqual(UNAVAILABLE);
    await select('ROLLBACK');
    expect((await api.logIn(whom)).statusCode).toBe(201);
  });

  it('is a black hole, a login is 503 within its deadline, and then it works again', async () => {
    const whom = credentialsOf(await newSession());
    let swallow = false;
    const proxy = await startProxy(to(), ({ client, server }) => {
      client.on('data', (data) => !swallow && server.write(data));
      server.on('data', (data) => !swallow && client.write(data));
    });
    const { host, port } = proxy;
    const through = await startApi({}, { ...database.connection, host, port }, 500);
    expect((await through.logIn(whom)).statusCode).toBe(201);
    swallow = true;
    const began = performance.now();
    expect(told(await through.logIn(whom))).toEqual(UNAVAILABLE);
    expect(performance.now() - began).toBeLessThan(10_000);
    swallow = false;
    expect((await through.logIn(whom)).statusCode).toBe(201);
    await through.stop();
    await proxy.close();
  });
});

describe('openmusic accounts grant-admin', () => {
  let dataDir: string;
  let server: OpenMusicProcess | undefined;
  const start = () => startProcess({ env: { DATA_DIR: dataDir, ...KEYS, CATALOG_WRITES: 'admin' } });
  const grant = (username: string) => openmusic(['accounts', 'grant-admin', username], { DATA_DIR: dataDir });
  const album = { name: 'Parachutes', year: 2000 };

  beforeAll(async () => {
    dataDir = await mkdtemp(path.join(tmpdir(), 'openmusic-accounts-'));
    await chmod(dataDir, 0o755);
    server = await start();
  });
  afterAll(async () => {
    await server?.end('SIGTERM');
    await rm(dataDir, { recursive: true, force: true });
  });

  async function mayWrite({ username, password }: { username: string; password: string }): Promise<number> {
    const { body } = await createClient(server!.url).post('/authentications', { username, password });
    return (await createClient(server!.url, body?.data?.accessToken).post('/albums', album)).status;
  }

  it('makes somebody an admin, beside a running server and without one', async () => {
    const [first, second, third] = [
      await newPerson(server!.url),
      await newPerson(server!.url),
      await newPerson(server!.url),
    ];
    expect((await first.client.post('/albums', album)).status).toBe(403);
    expect(await grant(first.username)).toEqual({
      code: 0,
      output: `${first.username} is an admin, as soon as they log in again.\n`,
    });
    expect((await first.client.post('/albums', album)).status).toBe(403);
    expect([await mayWrite(first), await mayWrite(second)]).toEqual([201, 403]);
    const { body } = await first.client.put('/authentications', { refreshToken: first.refreshToken });
    expect((await createClient(server!.url, body?.data?.accessToken).post('/albums', album)).status).toBe(201);

    await server!.end('SIGTERM');
    expect(await grant(second.username)).toMatchObject({ code: 0 });
    expect(await grant('nobody')).toEqual({ code: 1, output: 'openmusic: There is no user nobody.\n' });
    server = await start();
    expect([await mayWrite(second), await mayWrite(third)]).toEqual([201, 403]);
    expect(await grant('nobody')).toEqual({ code: 1, output: 'openmusic: There is no user nobody.\n' });
  }, 120_000);
});
