import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { AppError, notFound, unavailable } from '../errors.ts';
import { type AnswerBody, chunksOf, httpApp, type Substitutes } from '../../test/support/http-app.ts';

/** For tests that substitute nothing: building an app takes 50 ms. */
const shared = httpApp();
const started: { close(): Promise<unknown> }[] = [];
afterEach(() => Promise.all(started.splice(0).map((app) => app.close())));
afterAll(() => shared.app.close());

function start(substitutes?: Substitutes) {
  if (substitutes === undefined) {
    shared.sent.length = 0;
    return shared;
  }
  const made = httpApp(substitutes);
  started.push(made.app);
  return made;
}

const body = { name: 'Viva la Vida', year: 2008 };
const songBody = { title: 'Yes', year: 2008, genre: 'Indie', performer: 'Coldplay' };
const failing = (error: Error) => ({ outcome: () => Promise.reject(error) });
const albumRow = { version: 3, name: 'Viva la Vida', year: 2008, cover: null, song: null };

describe('errors', () => {
  it.each([
    ['rejected', 400],
    ['not-found', 404],
    ['conflict', 409],
    ['stale', 412],
    ['reused', 422],
    ['too-large', 413],
    ['too-many', 429],
    ['unavailable', 503],
  ] as const)('%s is %d', async (kind, status) => {
    const { app } = start(failing(new AppError(kind, 'SOME_CODE', 'Some words.')));
    const answer = await app.inject({ method: 'PUT', url: '/albums/album-1', body });
    expect(answer.statusCode).toBe(status);
    expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
    expect(answer.json<AnswerBody>()).toEqual({
      status: status === 503 ? 'error' : 'fail',
      message: 'Some words.',
      code: 'SOME_CODE',
      requestId: answer.headers['x-request-id'],
    });
  });

  it('unavailable has Retry-After', async () => {
    const { app } = start(failing(unavailable('LATER', 'Later.')));
    expect((await app.inject({ method: 'POST', url: '/albums', body })).headers['retry-after']).toBe('1');
  });

  it('an unexpected error is 500, and its reason is only logged', async () => {
    const { app, lines } = start(failing(new TypeError('secret')));
    const answer = await app.inject({ method: 'POST', url: '/albums', body });
    expect(answer.statusCode).toBe(500);
    expect(answer.json<AnswerBody>()).toMatchObject({ status: 'error', code: 'INTERNAL_ERROR' });
    expect(answer.body).not.toContain('secret');
    expect(lines).toEqual([expect.objectContaining({ level: 50, requestId: answer.json<AnswerBody>().requestId })]);
    expect(JSON.stringify(lines)).toContain('secret');
  });

  it('are logged without the query of the URL, which can hold the signature of a link', async () => {
    const { app, lines } = start({
      files: { put: () => Promise.resolve(), open: () => Promise.reject(new Error('disk')) },
      rows: { 'covers-among': [{ cover: 'covers/01999d3e-8f5c-7a40-b2f1-0c9a4e6d1b77.png' }] },
    });
    await app.inject({ url: '/covers/01999d3e-8f5c-7a40-b2f1-0c9a4e6d1b77.png?%73ignature=abc' });
    expect(lines).toEqual([expect.objectContaining({ url: '/covers/01999d3e-8f5c-7a40-b2f1-0c9a4e6d1b77.png' })]);
    expect(JSON.stringify(lines)).not.toContain('abc');
  });

  const refused = Object.assign(new Error('connect ECONNREFUSED 10.0.0.1:5432'), { code: 'ECONNREFUSED' });
  it.each([
    ['refused', refused],
    ['refused on every address', new AggregateError([refused])],
    ['lost', new Error('Connection terminated unexpectedly')],
    ['not available', new Error('timeout exceeded when trying to connect')],
    ['not available outside of a pool', new Error('timeout expired')],
    ['silent', new Error('Query read timeout')],
    ['recovering from a crash', Object.assign(new pg.DatabaseError('x', 1, 'error'), { code: '57P03' })],
    ['shutting down', Object.assign(new pg.DatabaseError('x', 1, 'error'), { code: '57P01' })],
  ])('a database connection that is %s is 503', async (_how, error) => {
    const { app } = start(failing(error));
    const answer = await app.inject({ method: 'POST', url: '/albums', body });
    expect(answer.statusCode).toBe(503);
    expect(answer.json<AnswerBody>()).toMatchObject({ status: 'error', code: 'DATABASE_UNAVAILABLE' });
    expect(answer.body).not.toContain('10.0.0.1');
  });

  it.each([
    ['application/problem+json', true],
    ['application/json, application/problem+json;q=0.5', false],
    ['application/json;q=0.4, application/problem+json;q=0.5', true],
    ['application/json, application/problem+json', true],
    ['application/problem+json;q=0.5', true],
    ['application/problem+json;q=0.5, */*', false],
    ['application/problem+json;q=0.5, application/*;q=0.6', false],
    ['application/problem+json;q=0.5, application/*;q=0.6, application/json;q=0.1', true],
    ['application/problem+json ; charset=utf-8 ; Q=0.2 , */*;q=0.1', true],
    ['application/problem+json;q=nonsense', true],
    ['application/problem+json;q=0.000, */*', false],
    ['application/*', false],
    ['text/html,APPLICATION/problem+json', true],
    ['application/json', false],
    ['*/*', false],
    ['application/problem+json;q=0', false],
    ['application/problem+jsonp', false],
  ])('Accept: %s gives problem details: %s', async (accept, problem) => {
    const { app } = start();
    const answer = await app.inject({ url: '/albums/x', headers: { accept } });
    expect(answer.statusCode).toBe(404);
    if (!problem) {
      expect(answer.json<AnswerBody>()).toMatchObject({ status: 'fail', code: 'ALBUM_NOT_FOUND' });
      return;
    }
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(answer.json<AnswerBody>()).toEqual({
      type: 'about:blank',
      title: 'Not Found',
      status: 404,
      detail: 'There is no such album.',
      code: 'ALBUM_NOT_FOUND',
      requestId: answer.headers['x-request-id'],
    });
  });
});

describe('bad input', () => {
  it('names every wrong field by a JSON pointer', async () => {
    const { app, sent } = start();
    const wrong = { name: 7, 'a/b~c': 1 };
    const answer = await app.inject({ method: 'POST', url: '/albums', body: wrong });
    expect(answer.json<AnswerBody>()).toMatchObject({
      code: 'VALIDATION_FAILED',
      message: 'name must be a string.',
      errors: [
        { path: '/name', message: 'must be a string' },
        { path: '/year', message: 'is required' },
        { path: '/a~1b~0c', message: 'is not a known field' },
      ],
    });
    expect(sent).toEqual([]);
  });

  it('lists at most 20 errors', async () => {
    const { app } = start();
    const unknown = Object.fromEntries(Array.from({ length: 900 }, (_, i) => [`f${i}`, i]));
    const answer = await app.inject({ method: 'POST', url: '/albums', body: { ...body, ...unknown } });
    expect(answer.json<AnswerBody>().errors).toHaveLength(20);
  });

  it.each(['', '\u{1F3B5}'.repeat(1001), 'a'.repeat(1001)])('a name of %j.length is 400', async (name) => {
    const { app } = start();
    expect((await app.inject({ method: 'POST', url: '/albums', body: { ...body, name } })).statusCode).toBe(400);
  });

  it.each(['a', ' ', '\u{1F3B5}'.repeat(1000), 'a'.repeat(1000), '\u0001', '__proto__'])(
    'accepts the name %j',
    async (name) => {
      const { app } = start();
      expect((await app.inject({ method: 'POST', url: '/albums', body: { ...body, name } })).statusCode).toBe(201);
    },
  );

  it.each([20, 21])('a body nested %d deep', async (depth) => {
    const { app } = start();
    const nested = '{"x":'.repeat(depth - 1) + '{}' + '}'.repeat(depth - 1);
    const headers = { 'content-type': 'application/json' };
    const answer = await app.inject({ method: 'POST', url: '/albums', headers, body: nested });
    expect([answer.statusCode, answer.json<AnswerBody>().code]).toEqual([
      400,
      depth === 20 ? 'VALIDATION_FAILED' : 'TOO_DEEP',
    ]);
  });
});

describe('a body', () => {
  const json = { 'content-type': 'application/json' };
  const text = JSON.stringify(body);
  const post = (payload: string | Buffer, headers: Record<string, string> = {}, substitutes?: Substitutes) =>
    start(substitutes).app.inject({ method: 'POST', url: '/albums', headers: { ...json, ...headers }, payload });

  it.each(['', ' \n'])('may begin with a byte order mark, and %j', async (blanks) => {
    expect((await post(`\uFEFF${blanks}${text}`)).statusCode).toBe(201);
  });

  it('that is only a byte order mark counts as empty', async () => {
    const answer = await post('\uFEFF');
    expect([answer.statusCode, answer.json<AnswerBody>().code]).toEqual([400, 'VALIDATION_FAILED']);
    expect((await start().app.inject({ method: 'DELETE', url: '/albums/album-a', headers: json, payload: '\uFEFF' })).statusCode).toBe(200); // prettier-ignore
  });

  it.each([
    ['gzip', gzipSync],
    ['GZip', gzipSync],
    ['x-gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
    ['identity, gzip', gzipSync],
    ['nonsense', (plain: string) => Buffer.from(plain)],
  ])('in %s is 415, which names the accepted encoding', async (encoding, compress) => {
    const answer = await post(compress(text), { 'content-encoding': encoding });
    const { code, message } = answer.json<AnswerBody>();
    expect([answer.statusCode, code, answer.headers['accept-encoding']]).toEqual([
      415,
      'UNSUPPORTED_ENCODING',
      'identity',
    ]);
    expect(message).toContain('identity');
  });

  it.each(['identity', 'Identity', 'identity, identity', ''])(
    'with Content-Encoding %j is accepted',
    async (encoding) => {
      expect((await post(text, { 'content-encoding': encoding })).statusCode).toBe(201);
    },
  );

  it('of a GET is ignored', async () => {
    const headers = { 'content-encoding': 'gzip', 'content-type': 'application/json' };
    expect((await start().app.inject({ method: 'GET', url: '/songs', headers, payload: 'x' })).statusCode).toBe(200);
  });

  it('that is empty is not compressed, and neither is a cover', async () => {
    const headers = { 'content-encoding': 'gzip' };
    expect((await start().app.inject({ method: 'DELETE', url: '/albums/album-a', headers })).statusCode).toBe(200);
    const cover = { method: 'POST', url: '/albums/a/covers', payload: 'x', headers } as const;
    expect((await start().app.inject(cover)).json<AnswerBody>().code).toBe('UNSUPPORTED_ENCODING');
  });

  it.each([
    ['/albums', { name: 'n'.repeat(1_000), year: -2_147_483_648 }],
    ['/songs', { ...songBody, title: 't'.repeat(1_000), genre: 'g'.repeat(1_000), performer: 'p'.repeat(1_000) }],
    ['/users', { username: 'u'.repeat(100), password: 'p'.repeat(1_000), fullname: 'f'.repeat(1_000) }],
  ])('of %s may be as long as its schema allows, in escapes, even above BODY_BYTES', async (url, longest) => {
    const { app } = start({ limits: { bodyBytes: 100, bodyDepth: 20, bodyFields: 1_000 } });
    const escaped = JSON.stringify(longest).replace(/(.)\1{50,}/g, (run) =>
      String.raw`\ud83c\udfb5`.repeat(run.length),
    );
    expect((await app.inject({ method: 'POST', url, headers: json, payload: escaped })).statusCode).toBe(201);
    const tooLong = await app.inject({ method: 'POST', url, headers: json, payload: ' '.repeat(100_000) });
    expect(tooLong.json<AnswerBody>().code).toBe('BODY_TOO_LARGE');
  });
});

describe('files of the API page', () => {
  it.each(['..%2f..%2fpackage.json', '%2e%2e/%2e%2e/x', '.git', 'nothing.js', '..%5cx', '%00'])(
    '%s is not found',
    async (file) => {
      const answer = await start().app.inject({ url: `/docs/static/${file}` });
      expect([answer.statusCode, answer.json<AnswerBody>().code]).toEqual([404, 'ROUTE_NOT_FOUND']);
    },
  );

  it('honour conditional and range requests', async () => {
    const { app } = start();
    const ask = async (headers: Record<string, string>) =>
      (await app.inject({ url: '/docs/static/index.css', headers })).json<AnswerBody>().code;
    expect(await ask({ 'if-match': '"x"' })).toBe('PRECONDITION_FAILED');
    expect(await ask({ range: 'bytes=9999999-' })).toBe('RANGE_NOT_SATISFIABLE');
  });
});

describe('request ids', () => {
  it.each([
    ['mine-1', true],
    ['x'.repeat(100), true],
    ['x'.repeat(101), false],
    ['two words', false],
    ['é', false],
  ])('%s is used: %s', async (id, kept) => {
    const { app, sent } = start();
    const headers = { 'x-request-id': id };
    const answer = await app.inject({ method: 'POST', url: '/albums', headers, body });
    expect(answer.headers['x-request-id'] === id).toBe(kept);
    expect(sent[0]?.origin.correlationId).toBe(answer.headers['x-request-id']);
  });
});

describe('idempotency keys', () => {
  const KEY = 'a-key-of-22-characters';
  const OTHER_KEY = 'another-one-that-is-long';
  const send = async (
    key: string | undefined,
    substitutes?: Substitutes,
    url = '/albums/album-1',
    more: object = {},
  ) => {
    const { app, sent } = start(substitutes);
    const headers = key === undefined ? {} : { 'idempotency-key': key };
    const answer = await app.inject({ method: 'PUT', url, headers, body, ...more });
    return { answer, origin: sent[0]?.origin };
  };

  it('without a key every command has its own id', async () => {
    const { origin } = await send(undefined);
    expect(origin).toMatchObject({ repeatable: false, bodyHash: '', olderBodyHashes: [], actor: 'anonymous' });
    expect((await send(undefined)).origin?.commandId).not.toBe(origin?.commandId);
  });

  it('caller, method, path and key determine the command id', async () => {
    const { origin } = await send(KEY);
    expect(origin?.repeatable).toBe(true);
    expect((await send(KEY)).origin?.commandId).toBe(origin?.commandId);
    expect((await send(KEY, {}, '/albums/album-1?x=1')).origin?.commandId).toBe(origin?.commandId);
    for (const url of ['/%61lbums/album%2D1', '/albums/album-1#x'])
      expect((await send(KEY, {}, url)).origin?.commandId).toBe(origin?.commandId);
    expect((await send(OTHER_KEY)).origin?.commandId).not.toBe(origin?.commandId);
    expect((await send(KEY, {}, '/albums/album-2')).origin?.commandId).not.toBe(origin?.commandId);
    expect((await send(KEY, {}, undefined, { method: 'DELETE' })).origin?.commandId).not.toBe(origin?.commandId);
  });

  it('equal bodies have the same hash in any spelling, different bodies have different hashes', async () => {
    const { origin } = await send(KEY);
    const spelled = {
      body: '{ "year": 2.008e3, "name": "Viva la V\\u0069da" }',
      headers: { 'idempotency-key': KEY, 'content-type': 'application/json' },
    };
    expect((await send(KEY, {}, undefined, spelled)).origin?.bodyHash).toBe(origin?.bodyHash);
    expect((await send(KEY, {}, undefined, { body: { ...body, year: 1 } })).origin?.bodyHash).not.toBe(
      origin?.bodyHash,
    );
  });

  it('the hash is keyed, and the previous key is tried too', async () => {
    const { origin } = await send(KEY, { idempotencyKeys: { current: 'a'.repeat(32) } });
    const rotated = await send(KEY, { idempotencyKeys: { current: 'b'.repeat(32), previous: 'a'.repeat(32) } });
    expect(rotated.origin?.bodyHash).not.toBe(origin?.bodyHash);
    expect(rotated.origin?.olderBodyHashes).toEqual([origin?.bodyHash]);
  });

  it('determines the id of the created resource', async () => {
    const { app, sent } = start();
    const create = () => app.inject({ method: 'POST', url: '/albums', headers: { 'idempotency-key': KEY }, body });
    const first = (await create()).json<AnswerBody>();
    expect((await create()).json<AnswerBody>()).toEqual(first);
    expect(first.data.albumId).toBe(`album-${sent[0]?.origin.commandId.replaceAll('-', '')}`);
  });

  it('marks the answer to a repeated command', async () => {
    const { answer } = await send(KEY, { outcome: () => ({ recordId: 'r', version: 1, replayed: true }) });
    expect(answer.headers['idempotency-replayed']).toBe('true');
    expect((await send(KEY)).answer.headers['idempotency-replayed']).toBeUndefined();
  });

  it.each([' ', 'a b', 'é', 'x'.repeat(256), '', 'a\tb'])('%j is 400', async (key) => {
    const { answer, origin } = await send(key);
    expect([answer.statusCode, answer.json<AnswerBody>().errors[0]?.path]).toEqual([400, '/idempotency-key']);
    expect(origin).toBeUndefined();
  });

  it('a key of 21 characters is 400 with a reason without a login, and accepted with one', async () => {
    const { answer, origin } = await send(KEY.slice(1));
    const { code, errors, message } = answer.json<AnswerBody>();
    expect([answer.statusCode, code, errors[0]?.path]).toEqual([400, 'VALIDATION_FAILED', '/idempotency-key']);
    expect(message).toContain('at least 22 characters when you are not logged in');
    expect(origin).toBeUndefined();
    const { app, sent } = start();
    await app.ready();
    const authorization = `Bearer ${app.jwt.access.sign({ sub: 'user-1', role: 'user', jti: 'j' })}`;
    const headers = { 'idempotency-key': 'k', authorization };
    expect((await app.inject({ method: 'PUT', url: '/albums/album-1', headers, body })).statusCode).toBe(200);
    expect(sent[0]?.origin.actor).toBe('user-1');
  });

  it('accepts 255 characters', async () => {
    expect((await send('~'.repeat(255))).answer.statusCode).toBe(200);
  });
});

/** The second half of an ETag. */
const HASH = 'abcdefghijklmnopqrs-_1';

describe('ETags', () => {
  const rows = { 'find-album': [albumRow] };
  const read = async (condition?: string, overrides: Substitutes = { rows }) =>
    start(overrides).app.inject({ url: '/albums/album-1', headers: condition ? { 'if-none-match': condition } : {} });

  it('are the version and a hash of the body', async () => {
    const { etag } = (await read()).headers;
    expect(etag).toMatch(/^"3-[\w-]{22}"$/);
    const withSong = { ...albumRow, song: 'song-1', title: 'Yes', performer: 'Coldplay' };
    const other = (await read(undefined, { rows: { 'find-album': [withSong] } })).headers.etag;
    expect(other).toMatch(/^"3-/);
    expect(other).not.toBe(etag);
  });

  it('a client with the current one gets 304 without a body', async () => {
    const { app } = start({ rows });
    const read = (condition?: string) =>
      app.inject({ url: '/albums/album-1', headers: condition ? { 'if-none-match': condition } : {} });
    const etag = String((await read()).headers.etag);
    for (const condition of [etag, `W/${etag}`, '*', `"x", ${etag}`, `W/"y",${etag}`]) {
      const answer = await read(condition);
      expect([answer.statusCode, answer.body, answer.headers.etag]).toEqual([304, '', etag]);
    }
    for (const condition of [
      `x${etag}`,
      `${etag}${etag}`,
      `${etag} "x"`,
      `w/${etag}`,
      `"x, ${etag}`,
      '"x"',
      etag.replaceAll('"', ''),
      '"3-"',
      '""',
      'nonsense',
    ]) {
      expect((await read(condition)).statusCode).toBe(200);
    }
  });

  it('a missing resource is 404 with or without a condition', async () => {
    expect((await read('*', {})).statusCode).toBe(404);
  });

  it.each([
    ['*', 'any'],
    [`"3-${HASH}"`, [3]],
    [`"3-${HASH}", "4-${HASH}"`, [3, 4]],
    [`, "3-${HASH}" ,,"x",`, [3]],
    [`"3-${HASH}-gzip"`, [3]], // as changed by a proxy that compresses
    [`W/"3-${HASH}"`, []],
    [`W/"3-${HASH}", "5-${HASH}"`, [5]],
    [`"3-${HASH}" "4-${HASH}"`, []],
    [`"3-${HASH}", 4-${HASH}`, []],
    [`x"3-${HASH}"`, []],
    ['"3-abc"', []],
    ['"3"', []],
    ['"x-abc"', []],
    ['3-abc', []],
    [`"0-${HASH}"`, []],
    [`"03-${HASH}"`, []],
    ['', undefined],
    [undefined, undefined],
  ])('If-Match: %s expects %j', async (condition, expected) => {
    const { app, sent } = start();
    const headers = condition ? { 'if-match': condition } : {};
    await app.inject({ method: 'DELETE', url: '/albums/album-1', headers });
    expect(sent[0]?.expectedVersion).toEqual(expected);
  });

  it.each([
    ['/albums/album-1', body],
    ['/songs/song-1', songBody],
  ])('a 412 of %s has the ETag of a read', async (url, changed) => {
    const song = { version: 3, ...songBody, duration: null, albumId: null };
    const { app } = start({
      rows: { 'find-album': [albumRow], 'find-song': [song] },
      ...failing(new AppError('stale', 'X', 'x')),
    });
    const { etag } = (await app.inject({ url })).headers;
    for (const request of [{ method: 'PUT', body: changed }, { method: 'DELETE' }] as const) {
      const answer = await app.inject({ ...request, url, headers: { 'if-match': '"1-x"' } });
      expect([answer.statusCode, answer.headers.etag]).toEqual([412, etag]);
    }
  });
});

describe('songs', () => {
  it('a body without duration and album creates a song without them', async () => {
    const { app, sent } = start();
    await app.inject({ method: 'POST', url: '/songs', body: songBody });
    expect(sent[0]?.command).toEqual({ type: 'CreateSong', details: { ...songBody, duration: null, albumId: null } });
    expect(await sent[0]?.context?.(0)).toEqual({ albumExists: true });
  });

  it('the existence of the album is read when the command is decided', async () => {
    const { app, sent } = start({ rows: { 'album-exists': [{}] } });
    await app.inject({ method: 'PUT', url: '/songs/song-1', body: { ...songBody, albumId: 'album-1' } });
    expect(await sent[0]?.context?.(0)).toEqual({ albumExists: true });
    const other = start();
    await other.app.inject({ method: 'PUT', url: '/songs/song-1', body: { ...songBody, albumId: 'album-1' } });
    expect(await other.sent[0]?.context?.(0)).toEqual({ albumExists: false });
  });

  const songs = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => ({ id: `song-${from + i}`, title: 't', performer: 'p' }));

  it.each([[[]], [[[]]], [[songs(0, 2)]], [[songs(0, 2), [], songs(2, 3)]]])(
    'reads in chunks become one list',
    async (chunks) => {
      const { app } = start({
        chunks: () => chunksOf(...chunks),
      });
      const answer = await app.inject({ url: '/songs' });
      expect(answer.json<AnswerBody>()).toEqual({ status: 'success', data: { songs: chunks.flat() } });
      expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
    },
  );

  it('a failure before the first song is an error answer', async () => {
    const { app } = start({
      chunks: () => chunksOf(notFound('X', 'x')),
    });
    expect((await app.inject({ url: '/songs' })).statusCode).toBe(404);
  });

  it('a page has a cursor', async () => {
    const { app } = start({
      chunks: () => chunksOf(songs(0, 3)),
    });
    const answer = (await app.inject({ url: '/songs?limit=2' })).json<AnswerBody>();
    expect(answer.data).toEqual({ songs: songs(0, 2), nextCursor: expect.any(String) });
    expect(
      (await app.inject({ url: `/songs?limit=3&cursor=${answer.data.nextCursor}` })).json<AnswerBody>().data.nextCursor,
    ).toBeNull();
  });

  it.each([
    'limit=0',
    'limit=1001',
    'limit=-1',
    'limit=1e2',
    'limit=',
    'limit=1&limit=2',
    'cursor=',
    'cursor=!',
    'cursor=AA',
    'cursor=YWxidW0tMQ', // album-1
    'title=%00',
    'title=a&title=b',
    `performer=${'x'.repeat(1001)}`,
  ])('?%s is 400', async (query) => {
    const answer = await start().app.inject({ url: `/songs?${query}` });
    expect([answer.statusCode, answer.json<AnswerBody>().code]).toEqual([400, 'VALIDATION_FAILED']);
  });

  it.each(['', '?title=', '?unknown=1', '?title=%ff', '?__proto__=x', '?limit=1000', '?%00'])(
    '%s is accepted',
    async (query) => {
      expect((await start().app.inject({ url: `/songs${query}` })).statusCode).toBe(200);
    },
  );
});

describe('methods', () => {
  it.each([
    ['DELETE', '/albums', 'OPTIONS, POST'],
    ['POST', '/albums/x', 'DELETE, GET, HEAD, OPTIONS, PUT'],
    ['PATCH', '/songs', 'GET, HEAD, OPTIONS, POST'],
    ['POST', '/', 'GET, HEAD, OPTIONS'],
    ['PUT', '/docs/json', 'GET, HEAD, OPTIONS'],
  ] as const)('%s %s is 405', async (method, url, allow) => {
    const headers = { 'content-type': 'text/plain' };
    const answer = await start().app.inject({ method, url, headers, body: 'x' });
    expect([answer.statusCode, answer.headers.allow, answer.json<AnswerBody>().code]).toEqual([
      405,
      allow,
      'METHOD_NOT_ALLOWED',
    ]);
  });

  it('OPTIONS lists the methods', async () => {
    const answer = await start().app.inject({ method: 'OPTIONS', url: '/songs' });
    expect(answer.json<AnswerBody>()).toEqual({
      status: 'success',
      data: { methods: ['GET', 'HEAD', 'OPTIONS', 'POST'] },
    });
    expect((await start().app.inject({ method: 'OPTIONS', url: '/nothing' })).statusCode).toBe(404);
  });

  it.each(['/', '/songs', '/albums/album-1', '/health', '/docs', '/nothing'])(
    'HEAD %s answers like GET, without a body',
    async (url) => {
      const { app } = start({ rows: { 'find-album': [albumRow] } });
      const [head, get] = [await app.inject({ method: 'HEAD', url }), await app.inject({ url })];
      expect([head.statusCode, head.body, head.headers['content-type']]).toEqual([
        get.statusCode,
        '',
        get.headers['content-type'],
      ]);
    },
  );
});

describe('who may change the catalog', () => {
  it.each(['authenticated', 'admin'] as const)(
    '%s: refuses anonymous requests before the payload is validated',
    async (catalogWrites) => {
      const { app, sent } = start({ catalogWrites });
      for (const [method, url] of [
        ['POST', '/albums'],
        ['PUT', '/songs/x'],
        ['DELETE', '/albums/x'],
        ['POST', '/songs'],
      ] as const) {
        const answer = await app.inject({ method, url });
        expect([answer.statusCode, answer.json<AnswerBody>().code, answer.headers['www-authenticate']]).toEqual([
          401,
          'AUTHENTICATION_REQUIRED',
          'Bearer',
        ]);
      }
      expect((await app.inject({ url: '/songs' })).statusCode).toBe(200);
      expect(sent).toEqual([]);
    },
  );

  it.each([
    [true, 'open', 1],
    [true, 'admin', 0],
    [false, 'open', 0],
  ] as const)('production %s and %s warn %d times', (production, catalogWrites, times) => {
    expect(start({ production, catalogWrites }).lines).toHaveLength(times);
  });
});

/** The part of a JSON schema that the test below reads. */
interface Schema extends Record<string, unknown> {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: unknown;
  readonly const?: unknown;
  readonly format?: string;
  readonly properties?: Record<string, Schema>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
}

const BOUNDS: Readonly<Record<string, readonly string[]>> = {
  string: ['maxLength'],
  array: ['maxItems'],
  integer: ['minimum', 'maximum'],
  number: ['minimum', 'maximum'],
};

/** Pointers below `path` to the parts of a schema that have no bound. */
function unboundedIn(schema: Schema, schemas: Record<string, Schema>, path: string): string[] {
  const below = (inner: Schema, part: string) => unboundedIn(inner, schemas, `${path}/${part}`);
  if (schema.$ref !== undefined) return below(schemas[schema.$ref.split('/').at(-1) ?? ''] ?? {}, 'ref');
  const options = schema.anyOf ?? schema.oneOf;
  if (options) return options.flatMap((option, index) => below(option, String(index)));
  // A file has a limit of its own, tested with the route.
  if (schema.enum !== undefined || schema.const !== undefined || schema.format === 'binary') return [];
  const types = [schema.type ?? 'anything'].flat();
  const missing = types.flatMap((type) => (BOUNDS[type] ?? []).filter((bound) => schema[bound] === undefined));
  const isOpen = schema.additionalProperties !== undefined && schema.additionalProperties !== false;
  if (types.includes('anything') || (isOpen && schema.maxProperties === undefined)) missing.push('a bound');
  return [
    ...missing.map((bound) => `${path} lacks ${bound}`),
    ...Object.entries(schema.properties ?? {}).flatMap(([name, inner]) => below(inner, name)),
    ...(schema.items ? below(schema.items, 'items') : []),
  ];
}

interface Operation {
  operationId: string;
  summary: string;
  tags: string[];
  parameters?: { name: string; schema: Schema }[];
  requestBody?: { content: Record<string, { schema: Schema }> };
  responses: Record<string, { description: string; headers: object }>;
}

interface ApiDocument {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

describe('the API page', () => {
  it('describes every route with its answers, and has no dangling reference', async () => {
    const { app } = start({});
    const routes: string[] = [];
    app.addHook('onRoute', ({ method, url, schema }) => {
      if (method !== 'HEAD' && schema?.hide !== true && !url.startsWith('/docs'))
        routes.push(`${String(method)} ${url}`);
    });
    const document = (await app.inject({ url: '/docs/json' })).json<ApiDocument>();
    expect(document.openapi).toBe('3.1.0');
    const operations = Object.values(document.paths).flatMap((path) => Object.values(path));
    expect(operations).toHaveLength(routes.length);
    for (const { operationId, summary, tags, parameters = [], responses } of operations) {
      expect([operationId, summary, tags.length]).toEqual([expect.any(String), expect.any(String), 1]);
      // A key or a condition can be malformed, also without a body.
      const taken = parameters.some(({ name }) => name === 'idempotency-key');
      if (taken) expect([operationId, Object.keys(responses)]).toEqual([operationId, expect.arrayContaining(['400'])]);
      for (const { description } of Object.values(responses)) expect(description).not.toMatch(/Default/);
    }
    const text = JSON.stringify(document);
    for (const [, name = ''] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
      expect(document.components.schemas).toHaveProperty(name);
    }
    expect(document.paths['/albums']?.post?.responses).toHaveProperty('422');
    expect(document.paths['/albums']?.post?.responses).toHaveProperty('403'); // on a follower
    expect(document.paths['/users']?.post?.responses).not.toHaveProperty('403');
    expect(document.paths['/albums/{id}']?.put?.parameters?.map(({ name }) => name)).toEqual([
      'id',
      'idempotency-key',
      'if-match',
    ]);
    expect(document.paths['/albums/{id}']?.get?.responses['200']?.headers).toHaveProperty('etag');
  });

  it('bounds each text, list and number of a request', async () => {
    const { app } = start();
    const { paths, components } = (await app.inject({ url: '/docs/json' })).json<ApiDocument>();
    const operations = Object.values(paths).flatMap((path) => Object.values(path));
    const inputs = operations.flatMap(({ operationId, parameters = [], requestBody }) => [
      ...parameters.map(({ name, schema }) => ({ path: `${operationId} ${name}`, schema })),
      ...Object.values(requestBody?.content ?? {}).map(({ schema }) => ({ path: `${operationId} body`, schema })),
    ]);
    expect(inputs.length).toBeGreaterThan(80);
    expect(inputs.flatMap(({ path, schema }) => unboundedIn(schema, components.schemas, path))).toEqual([]);
    expect(JSON.stringify(paths['/jobs']?.post?.requestBody)).toContain('JobRequest');
    expect(components.schemas.JobRequestInput?.properties?.repeat?.properties?.cron?.maxLength).toBe(200);
  });

  it.each([
    [{ type: 'string' }, 1],
    [{ type: ['string', 'null'] }, 1],
    [{ type: 'array', maxItems: 1, items: { type: 'string' } }, 1],
    [{ type: 'object', properties: { n: { type: 'integer', minimum: 0 } } }, 1],
    [{ type: 'object', additionalProperties: {} }, 1],
    [{ anyOf: [{ $ref: '#/components/schemas/A' }, {}] }, 2],
    [{ type: 'object', maxProperties: 9, additionalProperties: {}, properties: { e: { enum: ['x'] } } }, 0],
  ] as [Schema, number][])('the test of bounds finds what %j lacks', (schema, count) => {
    expect(unboundedIn(schema, { A: { type: 'number', minimum: 0 } }, '')).toHaveLength(count);
  });

  it('is an HTML page', async () => {
    const answer = await start().app.inject({ url: '/docs' });
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
  });

  it('is linked from GET /', async () => {
    const answer = await start().app.inject({ url: '/' });
    expect(answer.json<AnswerBody>()).toEqual({
      status: 'success',
      data: { name: 'OpenMusic', version: expect.stringMatching(/^\d/), docs: 'http://music.test/docs' },
    });
  });
});

describe('metrics', () => {
  it('count by method, route and status, not by URL', async () => {
    const { app } = start({});
    await app.inject({ url: '/albums/album-1' });
    await app.inject({ url: '/nothing/at/all' });
    const { body: text } = await app.inject({ url: '/metrics' });
    expect(text).toContain('openmusic_http_request_seconds_count{method="GET",route="/albums/:id",status="404"} 1');
    expect(text).toContain('openmusic_http_request_seconds_count{method="GET",route="none",status="404"} 1');
  });
});
