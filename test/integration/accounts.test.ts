import { createHash, createHmac, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { sql } from 'slonik';
import { createAccounts } from '../../src/accounts/accounts.ts';
import { followAccess } from '../../src/accounts/access.ts';
import { accessChannel } from '../../src/accounts/access-changes.ts';
import { createAdministration } from '../../src/accounts/administration.ts';
import { createPasswords } from '../../src/accounts/passwords.ts';
import { createSessions } from '../../src/accounts/sessions.ts';
import type { PostgresConnection } from '../../src/postgres/connection.ts';
import { listen } from '../../src/postgres/listen.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { openDatabase } from '../../src/postgres/pool.ts';
import { openRows } from '../../src/postgres/rows.ts';
import { createClient } from '../support/client.ts';
import { httpApp, noRates, type Substitutes } from '../support/http-app.ts';
import { KEYS } from '../support/keys.ts';
import { newPerson, newUsername, type Person } from '../support/people.ts';
import { openmusic, type OpenMusicProcess, startProcess } from '../support/processes.ts';
import { type Link, startProxy } from '../support/proxy.ts';
import { createDatabase, namespace, type TestDatabase } from '../support/servers/index.ts';
import { until } from '../support/servers/waiting.ts';
import { claimsOf } from '../support/tokens.ts';

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
    (body: object, headers: Record<string, string> = {}, remoteAddress = '192.0.2.1') =>
      app.inject({ method, url, body, headers, remoteAddress });
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
  username: newUsername(),
  password: 'secret',
  fullname: 'Chris Martin',
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
  it('50 times at once with one name succeeds once', async () => {
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

  it('20 times at once with one Idempotency-Key creates one account', async () => {
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

  it('at once with one Idempotency-Key and different bodies creates one account, and rejects the others', async () => {
    const key = { 'idempotency-key': randomUUID() };
    const all = await Promise.all(Array.from({ length: 10 }, () => api.register(registration(), key)));
    expect(tally(all)).toEqual({ 201: 1, 422: 9 });
  });

  it('stores no hash that allows fast password guesses: the password is compared with the slow hash', async () => {
    const [whom, key] = [registration(), { 'idempotency-key': randomUUID() }];
    await api.register(whom, key);
    const body = JSON.stringify({ fullname: whom.fullname, username: whom.username });
    const expected = createHmac('sha256', KEYS.IDEMPOTENCY_HASH_KEY).update(body).digest('base64url');
    expect(await select('SELECT body_hash FROM accounts WHERE username = $1', whom.username)).toEqual([
      { body_hash: expected },
    ]);
    const answers = [await api.register({ ...whom, password: 'another' }, key), await api.register(whom, key)];
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([422, 201]);
  });

  it('again is recognised by its details when the hash of an earlier version is gone', async () => {
    const [whom, key] = [registration(), { 'idempotency-key': randomUUID() }];
    await api.register(whom, key);
    await select(`UPDATE accounts SET body_hash = '' WHERE username = $1`, whom.username);
    const others = [{ fullname: 'Another Name' }, { username: newUsername() }, { password: 'another' }, {}];
    const answers = await Promise.all(others.map((other) => api.register({ ...whom, ...other }, key)));
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([422, 422, 422, 201]);
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

  it('with a key that met a taken name is decided again', async () => {
    const { username } = await newSession();
    const key = { 'idempotency-key': randomUUID() };
    expect((await api.register(registration({ username }), key)).statusCode).toBe(400);
    expect((await api.register(registration(), key)).statusCode).toBe(201);
  });
});

describe('the stored data', () => {
  it('contains a hash of the password and hashes of refresh tokens', async () => {
    const { username, refreshToken } = await newSession();
    const [account] = await select('SELECT id, role, password_hash FROM accounts WHERE username = $1', username);
    expect(account).toMatchObject({ role: 'user', password_hash: expect.stringMatching(PHC) });
    const [token] = await select('SELECT token_hash FROM refresh_tokens WHERE account_id = $1', account?.id);
    expect(token).toEqual({ token_hash: createHash('sha256').update(refreshToken).digest() });
  });

  it('does not allow a login by itself', async () => {
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
  it('answers an unknown user and a wrong password alike, except for the request id', async () => {
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

  it('distinguishes upper and lower case, and compares the whole password', async () => {
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

describe('a username', () => {
  it('is one in every spelling, with or without blanks around it', async () => {
    const name = newUsername();
    const whom = registration({ username: ` \ufb01${name}\u3000` });
    const plain = `fi${name}`;
    expect((await api.register(whom)).statusCode).toBe(201);
    expect(await select('SELECT count(*)::int AS n FROM accounts WHERE username = $1', plain)).toEqual([{ n: 1 }]);
    for (const username of [plain, whom.username, `${plain} `]) {
      expect((await api.logIn({ username, password: whom.password })).statusCode).toBe(201);
      expect((await api.register({ ...whom, username })).json<{ code: string }>().code).toBe('USERNAME_TAKEN');
    }
  });

  it('of an earlier version is found as typed, before one in today’s spelling', async () => {
    const [old, today] = [await newSession(), await newSession()];
    const typed = `\ufb01${today.username}`;
    await select('UPDATE accounts SET username = $2 WHERE username = $1', today.username, `fi${today.username}`);
    await select('UPDATE accounts SET username = $2 WHERE username = $1', old.username, typed);
    const { accessToken } = (await api.logIn({ username: typed, password: old.password })).json<{
      data: { accessToken: string };
    }>().data;
    const [{ id } = {}] = await select('SELECT id FROM accounts WHERE username = $1', typed);
    expect(claimsOf(accessToken).sub).toBe(id);
  });
});

describe('wrong passwords for one account', () => {
  const FEW = { ...noRates, failures: { count: 5, seconds: 900 } };
  /** Guesses may be in progress when the last allowed one fails. */
  const CONCURRENCY = 3;
  const HOME = '198.51.100.7';

  async function attacked() {
    const limited = await startApi({ rates: FEW });
    const owner = credentialsOf(await newSession());
    const { accessToken } = (await limited.logIn(owner, {}, HOME)).json<{ data: { accessToken: string } }>().data;
    const guesses = Array.from({ length: 150 }, (_, n) =>
      limited.logIn({ ...owner, password: `guess ${n}` }, {}, `203.0.113.${n % 6}`),
    );
    return { limited, owner, accessToken, answers: tally(await Promise.all(guesses)) };
  }

  it('are checked up to the limit, from any number of addresses; the others are 429', async () => {
    const { limited, owner, answers } = await attacked();
    expect(answers[401]).toBeGreaterThanOrEqual(FEW.failures.count);
    expect(answers[401]).toBeLessThan(FEW.failures.count + CONCURRENCY);
    expect((answers[429] ?? 0) + (answers[503] ?? 0)).toBe(150 - (answers[401] ?? 0));
    const { statusCode, headers } = await limited.logIn(owner, {}, '203.0.113.99');
    expect([statusCode, Number(headers['retry-after']) > 800]).toEqual([429, true]);
    await limited.stop();
  });

  it('lock out neither an address that logged in before nor a session', async () => {
    const { limited, owner, accessToken } = await attacked();
    expect((await limited.logIn(owner, {}, HOME)).statusCode).toBe(201);
    const session = { authorization: `Bearer ${accessToken}` };
    expect((await limited.logIn(owner, session, '203.0.113.99')).statusCode).toBe(201);
    const other = await newSession();
    const foreign = { authorization: `Bearer ${other.accessToken}` };
    expect((await limited.logIn(owner, foreign, '203.0.113.98')).statusCode).toBe(429);
    await limited.stop();
  });

  it('from an address that logged in before have a limit of their own', async () => {
    const { limited, owner } = await attacked();
    const statuses: number[] = [];
    for (let n = 0; n < 7; n++)
      statuses.push((await limited.logIn({ ...owner, password: 'wrong!' }, {}, HOME)).statusCode);
    expect(statuses).toEqual([401, 401, 401, 401, 401, 429, 429]);
    await limited.stop();
  });

  it('are counted for unknown users too, and answered alike', async () => {
    const limited = await startApi({ rates: FEW });
    const unknown = { username: newUsername(), password: 'secret' };
    const statuses: number[] = [];
    for (let n = 0; n < 7; n++) statuses.push((await limited.logIn(unknown, {}, `203.0.113.${n}`)).statusCode);
    expect(statuses).toEqual([401, 401, 401, 401, 401, 429, 429]);
    await limited.stop();
  });

  it('include those of a repeated registration', async () => {
    const limited = await startApi({ rates: FEW });
    const [whom, key] = [registration(), { 'idempotency-key': randomUUID() }];
    await limited.register(whom, key);
    const statuses: number[] = [];
    for (let n = 0; n < 6; n++)
      statuses.push((await limited.register({ ...whom, password: `guess ${n}` }, key, `203.0.113.${n}`)).statusCode);
    expect(statuses).toEqual([422, 422, 422, 422, 422, 429]);
    expect((await limited.logIn(credentialsOf(whom), {}, '203.0.113.9')).statusCode).toBe(429);
    await limited.stop();
  });
});

describe('every process', () => {
  const SECOND_MS = 1_000;
  async function follow(isTold: boolean) {
    const { connection } = database;
    const pool = openDatabase(connection, { name: 'access', max: 1, searchPath: [name, 'public'] });
    const report = () => undefined;
    const access = await followAccess({ database: pool, report, tokenAge: 60, everyMs: isTold ? 3_600_000 : 100 });
    const onNotice = () => void access.recheck();
    const listening = isTold ? listen({ connection, channel: accessChannel(name), onNotice, report }) : undefined;
    const stop = async () => {
      for (const each of [listening, access, pool]) await each?.stop();
    };
    return { judge: access.judge, stop };
  }

  it.each([
    ['is told', true],
    ['asks', false],
  ])('%s what an operator and a logout have changed', async (_, isTold) => {
    const process = await follow(isTold);
    const rows = await openRows(database.connection, { name: 'cli', max: 1, searchPath: [name, 'public'] });
    const operator = createAdministration(rows);
    const one = await newSession();
    const { username, accessToken, refreshToken } = one;
    const second = (await api.logIn(credentialsOf(one))).json<{ data: { accessToken: string } }>().data;
    const claimOf = (token: string) => {
      const { sub, role, ver, sid } = claimsOf(token) as { sub: string; role: 'user'; ver: number; sid: string };
      return { id: sub, role, version: ver, sessionId: sid };
    };
    const roleOf = (token: string) => process.judge(claimOf(token))?.role;
    const becomes = async (role: string | undefined, token = accessToken) => {
      const began = performance.now();
      await until(
        () => Promise.resolve(roleOf(token) === role),
        30_000,
        () => `the role is ${roleOf(token)}`,
      );
      expect(performance.now() - began).toBeLessThan(5 * SECOND_MS); // a second, on an idle machine
    };
    await operator.grant(username, 'admin');
    await becomes('admin');
    await operator.grant(username, 'user');
    await becomes('user');
    expect((await api.logOut({ refreshToken })).statusCode).toBe(200);
    await becomes(undefined);
    expect(roleOf(second.accessToken)).toBe('user');
    await operator.lock(username);
    await becomes(undefined, second.accessToken);
    expect((await api.logIn(credentialsOf(one))).json<{ code: string }>().code).toBe('ACCOUNT_LOCKED');
    expect((await api.logIn({ username, password: 'wrong!' })).json<{ code: string }>().code).toBe('WRONG_CREDENTIALS');
    await operator.unlock(username);
    const third = (await api.logIn(credentialsOf(one))).json<{ data: { accessToken: string } }>().data;
    expect(roleOf(third.accessToken)).toBe('user');
    expect(await operator.sessions(username)).toHaveLength(1);
    await operator.endSessions(username);
    await becomes(undefined, third.accessToken);
    expect(await operator.sessions(username)).toEqual([]);
    await rows.stop();
    await process.stop();
  });
});

describe('a refresh token', () => {
  const INVALID = [400, 'INVALID_REFRESH_TOKEN'];
  const statusAndCode = (answer: Awaited<ReturnType<Api['refresh']>>) => [
    answer.statusCode,
    answer.json<{ code?: string }>().code,
  ];

  it('outlives the process that issued it', async () => {
    const { refreshToken } = await newSession();
    const next = await startApi();
    expect((await next.refresh({ refreshToken })).statusCode).toBe(200);
    expect((await next.logOut({ refreshToken })).statusCode).toBe(200);
    await next.stop();
    expect(statusAndCode(await api.refresh({ refreshToken }))).toEqual(INVALID);
  });

  it('is deleted once by concurrent requests; another one of the same account stays', async () => {
    const { refreshToken, ...whom } = await newSession();
    const second = (await api.logIn(credentialsOf(whom))).json<{ data: { refreshToken: string } }>().data.refreshToken;
    const all = await Promise.all(Array.from({ length: 20 }, () => api.logOut({ refreshToken })));
    expect(tally(all)).toEqual({ 200: 1, 400: 19 });
    expect(statusAndCode(await api.refresh({ refreshToken }))).toEqual(INVALID);
    expect((await api.refresh({ refreshToken: second })).statusCode).toBe(200);
  });

  it('is refused once it has expired, and is removed at the next login', async () => {
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
    const { refreshToken: oldest, accessToken, ...whom } = await newSession();
    const ended = () =>
      select(
        `SELECT session_id AS sid FROM access_changes c JOIN accounts a ON a.id = c.account_id
          WHERE username = $1 AND needed_until > now() + interval '1 day'`,
        whom.username,
      );
    await admin.query(
      `INSERT INTO refresh_tokens (token_hash, account_id, expires_at)
        SELECT sha256(convert_to($1 || n, 'UTF8')), (SELECT id FROM accounts WHERE username = $1), now() + interval '8 days'
        FROM generate_series(1, 999) n`,
      [whom.username],
    );
    expect((await api.refresh({ refreshToken: oldest })).statusCode).toBe(200);
    expect(await ended()).toEqual([]);
    expect((await api.logIn(credentialsOf(whom))).statusCode).toBe(201);
    // The access tokens of that session, too.
    expect(await ended()).toEqual([{ sid: claimsOf(accessToken).sid }]);
    expect((await api.refresh({ refreshToken: oldest })).statusCode).toBe(400);
    const [{ count }] = (await select(
      'SELECT count(*)::int AS count FROM refresh_tokens t JOIN accounts a ON a.id = t.account_id WHERE username = $1',
      whom.username,
    )) as [{ count: number }];
    expect(count).toBe(1_000);
  });

  it('is refused when it has a valid signature but was never issued', async () => {
    const { refreshToken } = await newSession();
    await select('DELETE FROM refresh_tokens');
    expect(statusAndCode(await api.refresh({ refreshToken }))).toEqual(INVALID);
  });

  it('is deleted with its account', async () => {
    const { refreshToken, username } = await newSession();
    await select('DELETE FROM accounts WHERE username = $1', username);
    expect(statusAndCode(await api.refresh({ refreshToken }))).toEqual(INVALID);
  });

  it('gives the current role of the account', async () => {
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
    statusCode,
    code: answer.json<{ code?: string }>().code,
    retryAfter: headers['retry-after'],
  });

  it('breaks connections, a login is 503, and then succeeds again', async () => {
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

  it('is not listening, its pool reports the network error', async () => {
    const proxy = await startProxy(to(), ({ client, server }) => client.pipe(server).pipe(client));
    const connection = { ...database.connection, host: proxy.host, port: proxy.port };
    const rows = await openRows(connection, { name: 'accounts', max: 1, searchPath: [name] });
    await rows.query(sql.unsafe`SELECT 1`);
    await proxy.close();
    await expect(rows.query(sql.unsafe`SELECT 1`)).rejects.toThrow(); // the former connection, or no new one
    await expect(rows.query(sql.unsafe`SELECT 1`)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await rows.stop();
  });

  it('closes connections during a query, a login is 503, and then succeeds again', async () => {
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

  it('drops all packets, a login is 503 within its deadline, and then succeeds again', async () => {
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

describe('openmusic accounts', () => {
  let dataDir: string;
  let server: OpenMusicProcess | undefined;
  const start = () => startProcess({ env: { DATA_DIR: dataDir, ...KEYS, CATALOG_WRITES: 'admin' } });
  const accounts = (...args: string[]) => openmusic(['accounts', ...args], { DATA_DIR: dataDir });
  const album = { name: 'Parachutes', year: 2000 };

  beforeAll(async () => {
    dataDir = await mkdtemp(path.join(tmpdir(), 'openmusic-accounts-'));
    server = await start();
  });
  afterAll(async () => {
    await server?.end('SIGTERM');
    await rm(dataDir, { recursive: true, force: true });
  });

  const albumStatus = async ({ client }: Person) => (await client.post('/albums', album)).status;
  const becomes = (person: Person, status: number) =>
    until(
      async () => (await albumStatus(person)) === status,
      30_000,
      () => `it does not become ${status}`,
    );

  it('grants and revokes roles beside a running server, for issued tokens too', async () => {
    const [chris, other] = [await newPerson(server!.url), await newPerson(server!.url)];
    expect(await albumStatus(chris)).toBe(403);
    expect(await accounts('grant-admin', chris.username)).toEqual({
      code: 0,
      output: `${chris.username} has the role admin now.\n`,
    });
    await becomes(chris, 201);
    expect(await albumStatus(other)).toBe(403);
    expect(await accounts('revoke', chris.username)).toMatchObject({ code: 0 });
    await becomes(chris, 403);
    expect(await accounts('grant', chris.username, 'analytics')).toMatchObject({ code: 0 });
    const { output } = await accounts('list');
    expect(output).toMatch(new RegExp(`^${chris.username}  analytics  since \\S+Z  1 sessions$`, 'm'));
    expect(await accounts('grant', chris.username, 'user')).toEqual({
      code: 1,
      output: 'openmusic: The role must be admin or analytics.\n',
    });
    expect(await accounts('grant', 'unknown', 'admin')).toEqual({
      code: 1,
      output: 'openmusic: There is no user unknown.\n',
    });
  }, 120_000);

  it('locks an account and ends its sessions and its event streams', async () => {
    const chris = await newPerson(server!.url);
    const { body } = await chris.client.post('/jobs', {
      type: 'dummy',
      deliverAt: new Date(Date.now() + 3_600_000).toISOString(),
    });
    const headers = { authorization: `Bearer ${chris.accessToken}` };
    const events = await fetch(`${server!.url}/jobs/${body?.data?.jobId}/events`, { headers });
    expect((await accounts('sessions', chris.username)).output).toMatch(/^[0-9a-f]{12} {2}until \S+Z\n$/);
    expect(await accounts('lock', chris.username)).toMatchObject({ code: 0 });
    await becomes(chris, 401);
    expect(await events.text()).toContain('event: state'); // it has ended
    const logIn = ({ username, password }: Person) =>
      createClient(server!.url).post('/authentications', { username, password });
    expect(await logIn(chris)).toMatchObject({ status: 403, body: { code: 'ACCOUNT_LOCKED' } });
    expect((await chris.client.put('/authentications', { refreshToken: chris.refreshToken })).status).toBe(400);
    expect(await accounts('unlock', chris.username)).toMatchObject({ code: 0 });
    expect((await logIn(chris)).status).toBe(201);
    expect(await albumStatus(chris)).toBe(401);
    expect(await accounts('end-sessions', chris.username)).toMatchObject({ code: 0 });
    expect((await accounts('sessions', chris.username)).output).toBe(`${chris.username} is not logged in.\n`);
  }, 120_000);

  it('ends the access tokens of a session at its logout at once, and no others', async () => {
    const chris = await newPerson(server!.url);
    const client = createClient(server!.url);
    const { username, password, refreshToken } = chris;
    const second = createClient(
      server!.url,
      (await client.post('/authentications', { username, password })).body?.data?.accessToken,
    );
    const renewed = (await client.put('/authentications', { refreshToken })).body?.data?.accessToken;
    expect((await client.delete('/authentications', {}, { refreshToken })).status).toBe(200);
    const statuses = [chris.client, createClient(server!.url, renewed), second].map((each) => each.get('/playlists'));
    expect((await Promise.all(statuses)).map(({ status }) => status)).toEqual([401, 401, 200]);
  });

  it('works without a server too', async () => {
    const chris = await newPerson(server!.url);
    await server!.end('SIGTERM');
    expect(await accounts('grant', chris.username, 'admin')).toMatchObject({ code: 0 });
    server = await start();
    expect((await createClient(server.url, chris.accessToken).post('/albums', album)).status).toBe(201);
  }, 120_000);
});
