import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Client, createClient } from '../support/client.ts';
import { httpApp } from '../support/http-app.ts';
import { png } from '../support/images.ts';
import { KEYS } from '../support/keys.ts';
import { newPerson, newUsername, type Person } from '../support/people.ts';
import { openmusic, type OpenMusicProcess, startProcess } from '../support/processes.ts';
import { claimsOf, forge, now } from '../support/tokens.ts';

/** The columns of every row below. `refresh` sends a refresh token in place of an access token. */
const ACTORS = ['anonymous', 'expired', 'refresh', 'stranger', 'former', 'collaborator', 'owner', 'admin'] as const;
type Actor = (typeof ACTORS)[number];

/** Statuses for all actors, in their order. */
const anyone = (status: number) => Array.from(ACTORS, () => status).join(' ');
const loggedIn = (status: number) => `401 401 401 ${Array.from({ length: 5 }, () => status).join(' ')}`;
const sharers = (status: number) => `401 401 401 403 403 ${status} ${status} 403`;
const owner = (status: number) => `401 401 401 403 403 403 ${status} 403`;
const admin = (status: number) => `401 401 401 403 403 403 403 ${status}`;
/** Other users get the same answer as for a missing thing. */
const ownerOnly = (status: number) => `401 401 401 404 404 404 ${status} 404`;
const ownerAndAdmin = (status: number) => `401 401 401 404 404 404 ${status} ${status}`;

/** The target of a request. */
interface Target {
  readonly albumId: string;
  readonly songId: string;
  readonly playlistId: string;
  /** The job waits, is dead or was cancelled, as the row requires. */
  readonly jobId: string;
}

interface Row {
  readonly route: string;
  /** Statuses for existing things. */
  readonly there: string;
  /** Statuses for deleted things and for things that never existed; without it the request has no target. */
  readonly gone?: string;
  /** Statuses for deleted things, where they differ from `gone`. */
  readonly deleted?: string;
  /** Follows the path. */
  readonly query?: string;
  /** The body of the request. */
  readonly body?: (target: Target, actor: Actor) => object | FormData;
  /** Preparation before the request. */
  readonly given?: (target: Target, actor: Actor) => Promise<unknown>;
}

const album = () => ({ name: 'Viva la Vida', year: 2008 });
const song = () => ({ title: 'Yes', year: 2008, genre: 'Indie', performer: 'Coldplay' });
const inPlaylist = ({ songId }: Target) => ({ songId });
const refresh = (_: Target, actor: Actor) => ({
  refreshToken: people[actor === 'admin' ? 'admin' : 'owner'].refreshToken,
});

const mail = () => ({ to: 'chris@example.com', subject: 'Yes', body: 'No' });
const cancelled = ({ jobId }: Target) => as('owner').delete(`/jobs/${jobId}`);

function form(): FormData {
  const data = new FormData();
  data.append('cover', new Blob([new Uint8Array(png())]), 'cover.png');
  return data;
}

/** Every route of the API, for an open catalog. A route without a row fails the first test. */
const ROWS: readonly Row[] = [
  { route: 'GET /', there: anyone(200) },
  { route: 'GET /livez', there: anyone(200) },
  { route: 'GET /readyz', there: anyone(200) },
  { route: 'GET /health', there: anyone(200) },
  { route: 'GET /metrics', there: anyone(200) },
  { route: 'GET /asyncapi.json', there: anyone(200) },
  { route: 'GET /events', there: admin(200) },
  {
    route: 'POST /users',
    there: anyone(201),
    body: () => ({ username: newUsername(), password: 'secret', fullname: 'x' }),
  },
  {
    route: 'POST /authentications',
    there: anyone(201),
    body: () => ({ username: people.owner.username, password: people.owner.password }),
  },
  { route: 'PUT /authentications', there: anyone(200), body: refresh },
  {
    route: 'DELETE /authentications',
    there: anyone(200),
    body: () => ({ refreshToken: spareTokens.pop() }),
    given: async () => spareTokens.push((await newPerson(base)).refreshToken),
  },
  { route: 'POST /albums', there: anyone(201), body: album },
  { route: 'GET /albums/:id', there: anyone(200), gone: anyone(404) },
  { route: 'PUT /albums/:id', there: anyone(200), gone: anyone(404), body: album },
  { route: 'DELETE /albums/:id', there: anyone(200), gone: anyone(404) },
  { route: 'POST /albums/:id/covers', there: anyone(201), gone: anyone(404), body: form },
  { route: 'GET /covers/:file', there: anyone(200), gone: anyone(404) },
  { route: 'POST /albums/:id/likes', there: loggedIn(201), gone: loggedIn(404) },
  {
    route: 'DELETE /albums/:id/likes',
    there: loggedIn(200),
    gone: loggedIn(404),
    given: ({ albumId }, actor) => as(actor).post(`/albums/${albumId}/likes`),
  },
  { route: 'GET /albums/:id/likes', there: anyone(200), gone: anyone(404) },
  { route: 'POST /songs', there: anyone(201), body: song },
  { route: 'GET /songs', there: anyone(200) },
  { route: 'GET /songs/:id', there: anyone(200), gone: anyone(404) },
  { route: 'PUT /songs/:id', there: anyone(200), gone: anyone(404), body: song },
  { route: 'DELETE /songs/:id', there: anyone(200), gone: anyone(404) },
  { route: 'POST /playlists', there: loggedIn(201), body: () => ({ name: 'Mine' }) },
  { route: 'GET /playlists', there: loggedIn(200) },
  { route: 'PATCH /playlists/:id', there: owner(200), gone: loggedIn(404), body: () => ({ name: 'Other' }) },
  { route: 'DELETE /playlists/:id', there: owner(200), gone: loggedIn(404) },
  { route: 'POST /playlists/:id/songs', there: sharers(201), gone: loggedIn(404), body: inPlaylist },
  { route: 'GET /playlists/:id/songs', there: sharers(200), gone: loggedIn(404) },
  {
    route: 'DELETE /playlists/:id/songs',
    there: sharers(200),
    gone: loggedIn(404),
    body: inPlaylist,
    given: ({ playlistId, songId }) => as('owner').post(`/playlists/${playlistId}/songs`, { songId }),
  },
  { route: 'GET /playlists/:id/activities', there: sharers(200), gone: loggedIn(404) },
  { route: 'GET /playlists/:id/versions', there: sharers(200), gone: loggedIn(404) },
  { route: 'GET /playlists/:id/diff', query: '?from=2&to=2', there: sharers(200), gone: loggedIn(404) },
  { route: 'POST /playlists/:id/restore', there: owner(200), gone: loggedIn(404), body: () => ({ version: 1 }) },
  { route: 'GET /playlists/deleted', there: loggedIn(200) },
  {
    route: 'POST /playlists/:id/undelete',
    there: owner(400),
    gone: loggedIn(404),
    deleted: ownerOnly(200),
  },
  {
    route: 'POST /collaborations',
    there: owner(201),
    gone: loggedIn(404),
    body: ({ playlistId }) => ({ playlistId, userId: people.stranger.id }),
  },
  {
    route: 'DELETE /collaborations',
    there: owner(200),
    gone: loggedIn(404),
    body: ({ playlistId }) => ({ playlistId, userId: people.collaborator.id }),
  },
  { route: 'POST /jobs', there: loggedIn(202), body: () => ({ type: 'dummy' }) },
  { route: 'GET /jobs', there: loggedIn(200) },
  { route: 'GET /jobs/:id', there: ownerAndAdmin(200), gone: loggedIn(404) },
  { route: 'GET /jobs/:id/items', there: ownerAndAdmin(200), gone: loggedIn(404) },
  { route: 'GET /jobs/:id/result', there: ownerAndAdmin(409), gone: loggedIn(404) },
  { route: 'GET /jobs/:id/events', there: ownerAndAdmin(200), gone: loggedIn(404), given: cancelled },
  {
    route: 'PATCH /jobs/:id',
    there: ownerAndAdmin(400),
    gone: loggedIn(404),
    body: () => ({ repeat: { missed: 'skip' } }),
  },
  { route: 'DELETE /jobs/:id', there: ownerAndAdmin(200), gone: loggedIn(404) },
  { route: 'POST /jobs/:id/retry', there: ownerAndAdmin(202), gone: loggedIn(404), given: cancelled },
  { route: 'GET /files', there: loggedIn(200) },
  { route: 'GET /files/:fileId/content', there: anyone(403) },
  {
    route: 'POST /downloads',
    there: loggedIn(202),
    gone: loggedIn(400),
    body: ({ albumId }) => ({ fileIds: [albumId] }),
  },
  { route: 'POST /downloads/check', there: loggedIn(200), body: ({ albumId }) => ({ fileIds: [albumId] }) },
  {
    route: 'POST /v1/download/initiate',
    there: loggedIn(202),
    gone: loggedIn(400),
    body: ({ albumId }) => ({ file_ids: [albumId] }),
  },
  { route: 'POST /v1/download/check', there: loggedIn(200), body: ({ albumId }) => ({ file_ids: [albumId] }) },
  { route: 'GET /v1/download/status/:id', there: ownerAndAdmin(200), gone: loggedIn(404) },
  { route: 'GET /v1/download/result/:id', there: ownerAndAdmin(409), gone: loggedIn(404) },
  { route: 'POST /messages', there: admin(202), body: mail },
  { route: 'POST /messages/batch', there: admin(202), body: () => ({ items: [mail()] }) },
  {
    route: 'POST /export/playlists/:id',
    there: owner(201),
    gone: loggedIn(404),
    body: () => ({ targetEmail: 'chris@example.com' }),
  },
  { route: 'GET /admin/providers', there: admin(200) },
  { route: 'GET /admin/dead-letters', there: admin(200) },
  { route: 'GET /admin/dead-letters/:id', there: admin(200), gone: admin(404) },
  { route: 'POST /admin/dead-letters/:id/redrive', there: admin(202), gone: admin(404), body: () => ({}) },
  {
    route: 'POST /admin/dead-letters/redrive',
    there: admin(202),
    gone: admin(202),
    body: ({ jobId }) => ({ jobIds: [jobId] }),
  },
  { route: 'DELETE /admin/dead-letters/:id', there: admin(200), gone: admin(404) },
];

/** Rows that differ where the catalog is not open to every client. */
const CATALOG_ROWS = ROWS.filter(({ route }) =>
  /^(?:POST|PUT|DELETE) \/(?:albums|songs)(?:\/:id)?(?:\/covers)?$/.test(route),
);

let dataDir: string;
let server: OpenMusicProcess;
let base: string;
let people: Record<'stranger' | 'former' | 'collaborator' | 'owner' | 'admin', Person>;
const spareTokens: string[] = [];

const UNLIMITED = { RATE_LOGIN: 'off', RATE_FAILURES: 'off', RATE_REGISTER: 'off', RATE_JOBS: 'off' };

const start = (settings: Record<string, string> = {}) =>
  startProcess({ env: { DATA_DIR: dataDir, ...KEYS, ...UNLIMITED, JOB_ATTEMPTS: '1', ...settings } });

beforeAll(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'openmusic-authorization-'));
  await chmod(dataDir, 0o755);
  server = await start();
  base = server.url;
  const [stranger, former, collaborator, owning, chief] = await Promise.all(
    Array.from({ length: 5 }, () => newPerson(base)),
  );
  if (!stranger || !former || !collaborator || !owning || !chief) throw new Error('some users could not be registered');
  const granted = await openmusic(['accounts', 'grant-admin', chief.username], { DATA_DIR: dataDir, ...KEYS });
  expect(granted).toMatchObject({ code: 0, output: expect.stringContaining('has the role admin now') });
  people = { stranger, former, collaborator, owner: owning, admin: await loggedInAgain(chief) };
}, 60_000);

afterAll(async () => {
  await server.end('SIGTERM');
  await rm(dataDir, { recursive: true, force: true });
});

async function loggedInAgain(person: Person): Promise<Person> {
  const { username, password } = person;
  const { body } = await createClient(base).post('/authentications', { username, password });
  const { accessToken = '', refreshToken = '' } = body?.data ?? {};
  return { ...person, accessToken, refreshToken, client: createClient(base, accessToken) };
}

function as(actor: Actor): Client {
  switch (actor) {
    case 'anonymous':
      return createClient(base);
    case 'expired':
      return createClient(
        base,
        forge({ ...claimsOf(people.owner.accessToken), exp: now() - 1 }, KEYS.ACCESS_TOKEN_KEY),
      );
    case 'refresh':
      return createClient(base, people.owner.refreshToken);
    default:
      return createClient(base, people[actor].accessToken);
  }
}

/** The admin may do everything that the catalog requires. */
const chief = () => as('admin');

async function newTarget({ route }: Row): Promise<Target & { cover: string }> {
  const [one, other, ours, jobId] = await Promise.all([
    chief().post('/albums', album()),
    chief().post('/songs', song()),
    as('owner').post('/playlists', { name: 'Ours' }),
    route.includes('dead-letters') ? deadJob() : waitingJob(),
  ]);
  const [albumId = '', songId = ''] = [one.body?.data?.albumId, other.body?.data?.songId];
  const playlistId = ours.body?.data?.playlistId ?? '';
  const [cover] = await Promise.all([newCover(albumId), shareWithOne(playlistId)]);
  return { albumId, songId, playlistId, cover, jobId };
}

async function newJob(body: object): Promise<string> {
  return (await as('owner').post('/jobs', { type: 'dummy', ...body })).body?.data?.jobId ?? '';
}

const waitingJob = () => newJob({ deliverAt: new Date(Date.now() + 86_400_000).toISOString() });

async function deadJob(): Promise<string> {
  const jobId = await newJob({ payload: { failures: 1 } });
  while ((await as('owner').get(`/jobs/${jobId}`)).body?.data?.job?.state !== 'dead') await delay(10);
  return jobId;
}

async function newCover(albumId: string): Promise<string> {
  await chief().send('POST', `/albums/${albumId}/covers`, { raw: form() });
  const url = (await chief().get(`/albums/${albumId}`)).body?.data?.album?.coverUrl ?? '';
  return url.split('/').at(-1) ?? '';
}

/** The target has a collaborator, and a former one. */
async function shareWithOne(playlistId: string): Promise<void> {
  for (const { id: userId } of [people.collaborator, people.former]) {
    await as('owner').post('/collaborations', { playlistId, userId });
  }
  await as('owner').delete('/collaborations', {}, { playlistId, userId: people.former.id });
}

const missing = {
  albumId: 'album-none',
  songId: 'song-none',
  playlistId: 'playlist-none',
  jobId: 'job-none',
  cover: 'none.png',
};

/** Deletes everything but files, which cannot be deleted, and jobs, which stay. */
async function deletedTarget(row: Row) {
  const target = await newTarget(row);
  await chief().delete(`/albums/${target.albumId}`);
  await chief().delete(`/songs/${target.songId}`);
  await as('owner').delete(`/playlists/${target.playlistId}`);
  if (!row.route.includes('dead-letters')) return { ...target, cover: missing.cover, jobId: missing.jobId };
  await chief().delete(`/admin/dead-letters/${target.jobId}`);
  return target;
}

function pathOf(route: string, { albumId, songId, playlistId, jobId, cover }: Target & { cover: string }): string {
  const pattern = route.split(' ')[1] ?? '';
  const ids = { albums: albumId, songs: songId, jobs: jobId, v1: jobId, admin: jobId };
  const id = Object.entries(ids).find(([first]) => pattern.startsWith(`/${first}/`))?.[1] ?? playlistId;
  return pattern.replace(':id', id).replace(':fileId', 'file-none').replace(':file', cover);
}

async function statuses(row: Row, targetOf: (row: Row) => Promise<Target & { cover: string }>): Promise<string> {
  const { route, body, given, query = '' } = row;
  const [method = ''] = route.split(' ');
  const found: number[] = [];
  let target: Awaited<ReturnType<typeof targetOf>> | undefined;
  for (const actor of ACTORS) {
    target ??= await targetOf(row);
    await given?.(target, actor);
    const content = body?.(target, actor);
    const sent = content instanceof FormData ? { raw: content } : { json: content };
    const { status } = await as(actor).send(method, pathOf(route, target) + query, sent);
    found.push(status);
    if (method !== 'GET' && status < 300) target = undefined; // the role may have changed
  }
  return found.join(' ');
}

const noTarget = () => Promise.resolve(missing);

interface FoundRoute {
  readonly route: string;
  readonly takesJson: boolean;
}

/** The routes of the app apart from its documentation, and whether each parses a JSON body. */
async function allRoutes(): Promise<FoundRoute[]> {
  const { app } = httpApp();
  const found: FoundRoute[] = [];
  app.addHook('onRoute', ({ method, url, schema }) => {
    const takesJson = schema?.body !== undefined && !url.endsWith('/covers');
    if (method !== 'HEAD' && !url.startsWith('/docs')) found.push({ route: `${String(method)} ${url}`, takesJson });
  });
  await app.ready();
  await app.close();
  return found;
}

/** The schema registry has the protocol of another product: it needs no login, changes nothing, and ignores fields that it does not know. */
const isOfRegistry = ({ route }: FoundRoute): boolean => / \/registry(?:\/|$)/.test(route);

const routes = async () => (await allRoutes()).filter((found) => !isOfRegistry(found));

describe('the access matrix', () => {
  it('has a row for every route', async () => {
    expect(ROWS.map(({ route }) => route).sort()).toEqual((await routes()).map(({ route }) => route).sort());
  });

  it.each(ROWS)('$route', async (row) => {
    const expected: string[] = [row.there];
    const found = [await statuses(row, row.gone === undefined ? noTarget : newTarget)];
    if (row.gone !== undefined) {
      expected.push(row.deleted ?? row.gone, row.gone);
      found.push(await statuses(row, deletedTarget), await statuses(row, noTarget));
    }
    expect(found).toEqual(expected);
  });
});

it('the schema registry gives every actor the same answer', async () => {
  const registry = (await allRoutes()).filter((found) => isOfRegistry(found) && !found.route.endsWith('*'));
  expect(registry.length).toBeGreaterThan(15);
  const values = { ':id': '1', ':subject': 'openmusic.AlbumCreated', ':version': '1' };
  for (const { route } of registry) {
    const [method = '', pattern = ''] = route.split(' ');
    const url = Object.entries(values).reduce((text, [name, value]) => text.replace(name, value), pattern);
    const json = { schema: '"string"' };
    const send = async (actor: Actor) => (await as(actor).send(method, url, method === 'GET' ? {} : { json })).status;
    const found = await Promise.all(ACTORS.map(send));
    expect([route, new Set(found).size]).toEqual([route, 1]);
    expect([200, 404]).toContain(found[0]);
  }
});

/** Fields that only the server sets. */
const NOT_FOR_CLIENTS = {
  id: 'album-1',
  albumID: 'album-1',
  playlistid: 'playlist-1',
  userid: 'user-1',
  _id: '1',
  owner: 'user-1',
  ownerId: 'user-1',
  accountId: 'user-1',
  actor: 'user-1',
  entryId: 'entry-1',
  position: 0,
  role: 'admin',
  isAdmin: true,
  admin: true,
  version: 7,
  createdAt: '2020-01-01T00:00:00Z',
  time: 0,
  deleted: true,
  commandId: newUsername(),
  collaborationId: 'collab-1',
  coverUrl: 'http://evil.test',
  cover: null,
  likes: 9,
  password_hash: 'x',
  passwordHash: 'x',
  accessToken: 'x',
  __proto: {},
  constructor: {},
  toString: 'x',
};

describe('fields that only the server sets', () => {
  it('are 400 in every parsed body, and ignored where a route reads no body', async () => {
    const taking = new Set((await routes()).filter(({ takesJson }) => takesJson).map(({ route }) => route));
    const changing = ROWS.filter(({ route }) => !route.startsWith('GET '));
    expect(taking.size).toBeGreaterThanOrEqual(14);
    for (const row of changing) {
      const said = taking.has(row.route) ? await refusedFields(row) : await ignoredFields(row);
      expect([row.route, said]).toEqual([row.route, []]);
    }
  }, 120_000);

  /** Fields that were not rejected by name. */
  async function refusedFields(row: Row): Promise<string[]> {
    const { route, body, given } = row;
    const target = await newTarget(row);
    await given?.(target, 'owner');
    const valid = body?.(target, 'owner') ?? {};
    const passed: string[] = [];
    for (const [field, value] of Object.entries(NOT_FOR_CLIENTS)) {
      if (field in valid) continue;
      const json = { ...valid, [field]: value };
      const answer = await as('owner').send(route.split(' ')[0] ?? '', pathOf(route, target), { json });
      const named = answer.body?.errors?.some(({ path: where }) => where === `/${field}`);
      if (answer.status !== 400 || !named) passed.push(`${field}: ${answer.status}`);
    }
    return passed;
  }

  /** All fields, when the answer differs from the one without them. Forms and empty bodies are no JSON. */
  async function ignoredFields(row: Row): Promise<string[]> {
    const { route, there, body, given } = row;
    if (body) return [];
    const target = await newTarget(row);
    await given?.(target, 'owner');
    const sent = { json: NOT_FOR_CLIENTS };
    const { status } = await as('owner').send(route.split(' ')[0] ?? '', pathOf(route, target), sent);
    return String(status) === there.split(' ')[ACTORS.indexOf('owner')] ? [] : [`all: ${status}`];
  }

  it('are 400 in the form of a cover', async () => {
    const target = await newTarget({ route: 'POST /albums/:id/covers', there: '' });
    const data = form();
    data.append('id', 'album-1');
    const { status } = await chief().send('POST', `/albums/${target.albumId}/covers`, { raw: data });
    expect(status).toBe(400);
  });
});

describe.each([
  ['authenticated', loggedIn],
  ['admin', admin],
] as const)('CATALOG_WRITES=%s', (writes, allowed) => {
  beforeAll(async () => {
    await server.end('SIGTERM');
    server = await start({ CATALOG_WRITES: writes });
    base = server.url;
  }, 60_000);

  it.each(CATALOG_ROWS)('$route', async (row) => {
    const status = Number(row.there.slice(0, 3));
    expect(await statuses(row, row.gone === undefined ? noTarget : newTarget)).toBe(allowed(status));
    if (row.gone !== undefined) expect(await statuses(row, deletedTarget)).toBe(loggedIn(404));
  });

  it('allows every client to read', async () => {
    const { albumId, songId } = await newTarget({ route: 'GET /albums/:id', there: '' });
    for (const address of ['/songs', `/songs/${songId}`, `/albums/${albumId}`, `/albums/${albumId}/likes`]) {
      expect((await as('anonymous').get(address)).status).toBe(200);
    }
  });
});

describe('an invalid token', () => {
  const claims = () => claimsOf(people.owner.accessToken);
  const without = (name: string) => Object.fromEntries(Object.entries(claims()).filter(([key]) => key !== name));
  const withClaim = (change: object) => forge({ ...claims(), ...change }, KEYS.ACCESS_TOKEN_KEY);
  const unsigned = (alg: string) => {
    const [, body = ''] = people.owner.accessToken.split('.');
    return `${Buffer.from(JSON.stringify({ alg, typ: 'JWT' })).toString('base64url')}.${body}.`;
  };
  const [head, body, signature] = [0, 1, 2].map((part) => () => people.owner.accessToken.split('.')[part] ?? '');

  const FORGED: Record<string, () => string> = {
    'alg none': () => unsigned('none'),
    'alg None': () => unsigned('None'),
    'alg NONE': () => unsigned('NONE'),
    'alg missing': () => forge(claims(), KEYS.ACCESS_TOKEN_KEY, { typ: 'JWT' }),
    'alg HS384 by name': () => forge(claims(), KEYS.ACCESS_TOKEN_KEY, { alg: 'HS384', typ: 'JWT' }),
    'alg RS256 by name': () => forge(claims(), KEYS.ACCESS_TOKEN_KEY, { alg: 'RS256', typ: 'JWT' }),
    'alg none, signed': () => forge(claims(), KEYS.ACCESS_TOKEN_KEY, { alg: 'none', typ: 'JWT' }),
    'another key': () => forge(claims(), 'x'.repeat(32)),
    'an empty key': () => forge(claims(), ''),
    'the key for refresh tokens': () => forge(claims(), KEYS.REFRESH_TOKEN_KEY),
    'the key for idempotency': () => forge(claims(), KEYS.IDEMPOTENCY_HASH_KEY),
    'a refresh token': () => people.owner.refreshToken,
    'the audience of a refresh token': () => withClaim({ aud: 'refresh' }),
    'another audience': () => withClaim({ aud: 'other' }),
    'no audience': () => forge(without('aud'), KEYS.ACCESS_TOKEN_KEY),
    'no expiry': () => forge(without('exp'), KEYS.ACCESS_TOKEN_KEY),
    'no subject': () => forge(without('sub'), KEYS.ACCESS_TOKEN_KEY),
    'no id': () => forge(without('jti'), KEYS.ACCESS_TOKEN_KEY),
    'no issue time': () => forge(without('iat'), KEYS.ACCESS_TOKEN_KEY),
    'no role': () => forge(without('role'), KEYS.ACCESS_TOKEN_KEY),
    'an expiry that is text': () => withClaim({ exp: String(now() + 60) }),
    'an expiry with a fraction': () => withClaim({ exp: now() + 60.5 }),
    'an expiry that is a list': () => withClaim({ exp: [now() + 60] }),
    'an expiry that is null': () => withClaim({ exp: null }),
    'an expiry of zero': () => withClaim({ exp: 0 }),
    'an expiry before now': () => withClaim({ exp: now() - 1 }),
    'an expiry beyond numbers': () => withClaim({ exp: 1e300 }),
    'a beginning after now': () => withClaim({ nbf: now() + 600 }),
    'an empty subject': () => withClaim({ sub: '' }),
    'a subject that is a number': () => withClaim({ sub: 1 }),
    'an unknown role': () => withClaim({ role: 'god' }),
    'another subject under an old signature': () =>
      `${head!()}.${Buffer.from(JSON.stringify({ ...claims(), sub: 'user-1' })).toString('base64url')}.${signature!()}`,
    'the role of an admin under an old signature': () =>
      `${head!()}.${Buffer.from(JSON.stringify({ ...claims(), role: 'admin' })).toString('base64url')}.${signature!()}`,
    'a signature that lacks its end': () => people.owner.accessToken.slice(0, -3),
    'no signature': () => `${head!()}.${body!()}.`,
    'two parts': () => `${head!()}.${body!()}`,
    'four parts': () => `${people.owner.accessToken}.x`,
    nothing: () => '',
    nonsense: () => 'a.b.c',
    '60 kB': () => 'a'.repeat(60_000),
  };
  const protectedRows = ROWS.filter(({ there }) => there.startsWith('401'));

  it('is tested in at least 30 forms, on at least 10 routes', () => {
    expect(Object.keys(FORGED).length).toBeGreaterThanOrEqual(30);
    expect(protectedRows.length).toBeGreaterThanOrEqual(10);
  });

  it('is accepted only when nothing is wrong with it', async () => {
    expect((await createClient(base, withClaim({ exp: now() + 60 })).get('/playlists')).status).toBe(200);
  });

  it.each(Object.keys(FORGED))('is 401 everywhere: %s', async (name) => {
    const client = createClient(base, FORGED[name]!());
    for (const { route } of protectedRows) {
      const [method = '', pattern = ''] = route.split(' ');
      const answer = await client.send(method, pattern.replace(':id', 'playlist-none'), {});
      expect([route, answer.status]).toEqual([route, 401]);
    }
  });

  it.each(['Basic', 'bearer', 'Token', ''])('is 401 everywhere with the scheme %j', async (scheme) => {
    const headers = { authorization: `${scheme} ${people.owner.accessToken}` };
    const { status } = await createClient(base).get('/playlists', headers);
    expect(status).toBe(scheme === 'bearer' ? 200 : 401);
  });
});

it('tokens have the documented lifetimes', () => {
  const { exp: access, iat } = claimsOf(people.owner.accessToken) as { exp: number; iat: number };
  const refreshing = claimsOf(people.owner.refreshToken) as { exp: number; iat: number };
  expect([access - iat, refreshing.exp - refreshing.iat]).toEqual([1_800, 604_800]);
});
