import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { serverUnderTest } from '../support/server-under-test.ts';
import { type Client, createClient } from '../support/client.ts';
import { newPerson, newUsername, type Person } from '../support/people.ts';

let client: Client;
let chris: Person;
beforeAll(async () => {
  const server = await serverUnderTest();
  client = createClient(server.url);
  chris = await newPerson(server.url);
});

const registration = (change: object = {}) => ({
  username: newUsername(),
  password: 'secret',
  fullname: 'Some Person',
  ...change,
});
const logIn = (change: object = {}) =>
  client.post('/authentications', { username: chris.username, password: chris.password, ...change });
const withRequestId = { requestId: expect.any(String) };

describe('registering', () => {
  it('returns an id', async () => {
    const { status, body } = await client.post('/users', registration());
    expect([status, body]).toEqual([201, { status: 'success', data: { userId: expect.stringMatching(/^user-/) } }]);
  });

  it('accepts names of up to 100 characters in every script, and stores one spelling', async () => {
    const unique = newUsername().slice(0, 20);
    for (const username of [`${unique}${'\u{1f3b5}'.repeat(80)}`, `Ünï ${unique}`, `名前${unique}`, `שם${unique}`]) {
      expect((await client.post('/users', registration({ username }))).status).toBe(201);
      const spelled = ` ${username.normalize('NFD')} `;
      expect((await logIn({ username: spelled, password: 'secret' })).status).toBe(201);
    }
  });

  it('is 400 for a taken name', async () => {
    const { status, body } = await client.post('/users', registration({ username: chris.username }));
    expect([status, body]).toEqual([
      400,
      { status: 'fail', code: 'USERNAME_TAKEN', message: expect.any(String), ...withRequestId },
    ]);
  });

  it.each([
    ['nothing', {}],
    ['no password', { username: 'x', fullname: 'x' }],
    ['a number for a name', registration({ username: 1 })],
    ['an empty name', registration({ username: '' })],
    ['NUL in a name', registration({ username: 'a\0b' })],
    ['half a surrogate pair', registration({ fullname: '\ud800' })],
    ['a password of 5 characters', registration({ password: '12345' })],
    ['only blanks for a name', registration({ username: ' \u3000\u00a0' })],
    ['a name of 101 characters', registration({ username: '\u{1f3b5}'.repeat(101) })],
    ...[
      '\u0007',
      '\u200b',
      '\u200d',
      '\u202e',
      '\u2066',
      '\u00ad',
      '\ufeff',
      '\u3164',
      '\u2800',
      '\u2028',
      '\ue000',
    ].map(
      (unseen) =>
        [`U+${unseen.charCodeAt(0).toString(16)} in a name`, registration({ username: `a${unseen}b` })] as const,
    ),
    ['a role', registration({ role: 'admin' })],
    ['an id', registration({ id: 'user-1' })],
  ])('is 400 with %s', async (_, body) => {
    expect(await client.post('/users', body)).toMatchObject({ status: 400, body: { code: 'VALIDATION_FAILED' } });
  });

  it('again with one Idempotency-Key gives one account; with another body it is 422', async () => {
    const key = { 'idempotency-key': randomUUID() };
    const whom = registration();
    const first = await client.post('/users', whom, key);
    const again = await client.post('/users', whom, key);
    expect([again.status, again.body, again.headers.get('idempotency-replayed')]).toEqual([201, first.body, 'true']);
    const other = await client.post('/users', { ...whom, fullname: 'Another Name' }, key);
    expect(other).toMatchObject({ status: 422, body: { code: 'IDEMPOTENCY_KEY_REUSED' } });
  });
});

describe('logging in', () => {
  it('returns two tokens', async () => {
    const { status, body } = await logIn();
    const data = { accessToken: expect.any(String), refreshToken: expect.any(String) };
    expect([status, body]).toEqual([201, { status: 'success', data }]);
  });

  it('does not reveal whether a user exists', async () => {
    const wrong = await logIn({ password: 'wrong!' });
    const unknown = await logIn({ username: newUsername() });
    const refusal = { status: 'fail', code: 'WRONG_CREDENTIALS', message: wrong.body?.message, ...withRequestId };
    for (const { status, body } of [wrong, unknown]) expect([status, body]).toEqual([401, refusal]);
  });

  it('is never 400 because of its length', async () => {
    for (const text of ['', 'x', 'x'.repeat(900), 'x'.repeat(30_000)]) {
      expect((await logIn({ password: text })).status).toBe(401);
      expect((await logIn({ username: text })).status).toBe(401);
    }
  });

  it.each([
    ['nothing', undefined],
    ['no password', { username: 'x' }],
    ['a list of names', { username: ['x'], password: 'secret' }],
    ['an unknown field', { username: 'x', password: 'secret', admin: true }],
  ])('is 400 with %s', async (_, body) => {
    expect((await client.post('/authentications', body)).status).toBe(400);
  });

  it('ignores an Idempotency-Key', async () => {
    const key = { 'idempotency-key': randomUUID() };
    const body = { username: chris.username, password: chris.password };
    const [first, second] = [
      await client.post('/authentications', body, key),
      await client.post('/authentications', body, key),
    ];
    expect(first.body?.data?.refreshToken).not.toBe(second.body?.data?.refreshToken);
  });
});

describe('a refresh token', () => {
  const refresh = (refreshToken: unknown) => client.put('/authentications', { refreshToken });

  it('gives access tokens repeatedly', async () => {
    for (let time = 0; time < 2; time++) {
      const { status, body } = await refresh(chris.refreshToken);
      expect([status, body]).toEqual([200, { status: 'success', data: { accessToken: expect.any(String) } }]);
      const renewed = createClient(client.base, body?.data?.accessToken);
      expect((await renewed.get('/playlists')).status).toBe(200);
    }
  });

  it('is invalid after it was deleted', async () => {
    const refreshToken = (await logIn()).body?.data?.refreshToken ?? '';
    const remove = () => client.delete('/authentications', {}, { refreshToken });
    expect(await remove()).toMatchObject({ status: 200, body: { status: 'success', message: expect.any(String) } });
    const refused = { status: 400, body: { status: 'fail', code: 'INVALID_REFRESH_TOKEN' } };
    expect(await refresh(refreshToken)).toMatchObject(refused);
    expect(await remove()).toMatchObject(refused);
  });

  it.each<[string, () => unknown]>([
    ['an access token', () => chris.accessToken],
    ['a forged token', () => `${chris.refreshToken.slice(0, -4)}AAAA`],
    ['nonsense', () => 'nonsense'],
    ['a number', () => 1],
    ['nothing', () => undefined],
  ])('is 400 when it is %s', async (_, token) => {
    expect((await refresh(token())).status).toBe(400);
    expect((await client.delete('/authentications', {}, { refreshToken: token() })).status).toBe(400);
  });
});
