import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { anyCharacter } from '../support/characters.ts';
import { ownServerUnderTest } from '../support/server-under-test.ts';
import { type Answer, type Client, createClient, type RequestOptions } from '../support/client.ts';

let client: Client;
let stop: () => Promise<void>;
const ids = { album: '', song: '' };
beforeAll(async () => {
  const server = await ownServerUnderTest();
  client = createClient(server.url);
  stop = server.stop;
  ids.album = (await client.post('/albums', album)).body?.data?.albumId ?? '';
  ids.song = (await client.post('/songs', song)).body?.data?.songId ?? '';
});
afterAll(() => stop());

const album = { name: 'Viva la Vida', year: 2008 };
const song = { title: 'Yes', year: 2008, genre: 'Indie', performer: 'Coldplay', duration: 246 };

/** Every request with a body, a valid body, and which of its fields are text or numbers. */
const writes = [
  { name: 'POST /albums', method: 'POST', path: () => '/albums', good: album, texts: ['name'], numbers: ['year'] },
  {
    name: 'PUT /albums/{id}',
    method: 'PUT',
    path: () => `/albums/${ids.album}`,
    good: album,
    texts: ['name'],
    numbers: ['year'],
  },
  {
    name: 'POST /songs',
    method: 'POST',
    path: () => '/songs',
    good: song,
    texts: ['title', 'genre', 'performer'],
    numbers: ['year', 'duration'],
  },
  {
    name: 'PUT /songs/{id}',
    method: 'PUT',
    path: () => `/songs/${ids.song}`,
    good: song,
    texts: ['title', 'genre', 'performer'],
    numbers: ['year', 'duration'],
  },
] as const;

const json = { 'content-type': 'application/json' };
const raw = (body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = json): RequestOptions => ({
  raw: body,
  headers,
});
const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;

/** Bodies that are invalid for every request with a body. */
const badBodies: [name: string, options: RequestOptions, status: number, code: string][] = [
  ['none', {}, 400, 'VALIDATION_FAILED'],
  ['an empty one', raw(''), 400, 'VALIDATION_FAILED'],
  ['blanks', raw(' \n '), 400, 'INVALID_JSON'],
  ['half an object', raw('{"name":'), 400, 'INVALID_JSON'],
  ['text after the object', raw('{} {}'), 400, 'INVALID_JSON'],
  ['a comment', raw('/* */ {}'), 400, 'INVALID_JSON'],
  ['NaN', raw('{"year":NaN}'), 400, 'INVALID_JSON'],
  ['NUL', raw('\0'), 400, 'INVALID_JSON'],
  ['a form declared as JSON', raw('name=a&year=1'), 400, 'INVALID_JSON'],
  ['bytes that are not UTF-8', raw(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d)), 400, 'INVALID_ENCODING'],
  ['a surrogate in UTF-8', raw(Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22)), 400, 'INVALID_ENCODING'],
  ['UTF-16', raw(Uint8Array.from(Buffer.from('\uFEFF{}', 'utf16le'))), 400, 'INVALID_ENCODING'],
  [
    'zipped',
    raw(Uint8Array.of(0x1f, 0x8b, 8, 0), { ...json, 'content-encoding': 'gzip' }),
    415,
    'UNSUPPORTED_ENCODING',
  ],
  ['compressed without a header that says so', raw(Uint8Array.of(0x1f, 0x8b, 8, 0)), 400, 'INVALID_ENCODING'],
  ['a byte order mark twice', raw('\uFEFF\uFEFF{}'), 400, 'INVALID_JSON'],
  ['null', raw('null'), 400, 'VALIDATION_FAILED'],
  ['a number', raw('1'), 400, 'VALIDATION_FAILED'],
  ['a string', raw('"{}"'), 400, 'VALIDATION_FAILED'],
  ['a list', raw('[]'), 400, 'VALIDATION_FAILED'],
  ['an empty object', raw('{}'), 400, 'VALIDATION_FAILED'],
  ['a deep object', raw(nested(21)), 400, 'TOO_DEEP'],
  ['a very deep object', raw(nested(30_000)), 400, 'TOO_DEEP'],
  ['a huge object', raw(`{"name":"${'a'.repeat(70_000)}"}`), 413, 'BODY_TOO_LARGE'],
  ['a very huge object', raw('a'.repeat(5_000_000)), 413, 'BODY_TOO_LARGE'],
  ['text', raw('{}', { 'content-type': 'text/plain' }), 415, 'UNSUPPORTED_MEDIA_TYPE'],
  ['a form', raw('a=1', { 'content-type': 'application/x-www-form-urlencoded' }), 415, 'UNSUPPORTED_MEDIA_TYPE'],
  [
    'a multipart form',
    raw('--x--', { 'content-type': 'multipart/form-data; boundary=x' }),
    415,
    'UNSUPPORTED_MEDIA_TYPE',
  ],
  ['of no type', raw('{}', { 'content-type': '' }), 415, 'UNSUPPORTED_MEDIA_TYPE'],
  ['of an invalid media type', raw('{}', { 'content-type': 'json' }), 415, 'UNSUPPORTED_MEDIA_TYPE'],
  [
    'of a media type similar to JSON',
    raw('{}', { 'content-type': 'application/jsonp' }),
    415,
    'UNSUPPORTED_MEDIA_TYPE',
  ],
];

/** Raw JSON in place of a field. */
const badTexts = {
  'no text': ['null', 'true', '7', '[]', '["x"]', '{}', '{"x":1}'],
  'an empty one': ['""'],
  'a long one': [`"${'a'.repeat(1_001)}"`, `"${'\u{1F3B5}'.repeat(1_001)}"`],
  NUL: ['"\\u0000"', '"a\\u0000b"'],
  'half a surrogate pair': ['"\\ud800"', '"\\udc00"', '"a\\udfff\\ud800"'],
};
const badNumbers = {
  'no number': ['null', 'true', '"2008"', '""', '[2008]', '{}'],
  'no whole one': ['1.5', '2008.0000001', '1e-7'],
  'one out of range': ['2147483648', '-2147483649', '1e308', '-1e308', '1e400', '9007199254740993'],
};

function withField(good: object, field: string, value: string): string {
  const fields = Object.entries({ ...good, [field]: 0 }).map(
    ([name, old]) => `${JSON.stringify(name)}:${name === field ? value : JSON.stringify(old)}`,
  );
  return `{${fields.join(',')}}`;
}

const fieldCases = (fields: readonly string[], values: Record<string, string[]>) =>
  fields.flatMap((field) => Object.entries(values).map(([what, bad]) => ({ field, what, bad })));

/** The shape of every refusal. */
function expectRefusal(answer: Answer, status: number, code?: string): void {
  expect([answer.status, answer.body?.code]).toEqual([status, code ?? answer.body?.code]);
  expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
  expect(answer.body).toMatchObject({
    status: 'fail',
    message: expect.any(String),
    code: expect.stringMatching(/^[A-Z_]+$/),
  });
  expect(answer.body?.requestId).toBe(answer.headers.get('x-request-id'));
  if (status === 400)
    expect(answer.body?.errors).toContainEqual({ path: expect.any(String), message: expect.any(String) });
}

/** State that refusals must not change: the catalog, and the versions of the targets. */
async function world() {
  const { body } = await client.get('/songs');
  const tags = await Promise.all([client.get(`/albums/${ids.album}`), client.get(`/songs/${ids.song}`)]);
  return [body?.data?.songs?.length, ...tags.map(({ headers }) => headers.get('etag'))];
}

describe.each(writes)('$name', ({ method, path, good, texts, numbers }) => {
  let before: unknown;
  beforeAll(async () => void (before = await world()));
  afterAll(async () => expect(await world()).toEqual(before));

  const refuse = async (options: RequestOptions, status: number, code: string) => {
    const answer = await client.send(method, path(), options);
    expectRefusal(answer, status, code);
    return answer;
  };

  it.each(badBodies)('rejects a body: %s', (_name, options, status, code) => refuse(options, status, code));

  it.each(fieldCases(texts, badTexts))('rejects $field: $what', async ({ field, bad }) => {
    for (const value of bad) {
      const { body } = await refuse(raw(withField(good, field, value)), 400, 'VALIDATION_FAILED');
      expect(body?.errors).toEqual([{ path: `/${field}`, message: expect.any(String) }]);
    }
  });

  it.each(fieldCases(numbers, badNumbers))('rejects $field: $what', async ({ field, bad }) => {
    for (const value of bad) {
      const { body } = await refuse(raw(withField(good, field, value)), 400, 'VALIDATION_FAILED');
      expect(body?.errors).toEqual([{ path: `/${field}`, message: expect.any(String) }]);
    }
  });

  it.each(['extra', 'id', '__proto__', 'constructor', 'Name', 'a/b', ''])(
    'rejects an unknown field: %j',
    async (field) => {
      const { body } = await refuse(raw(withField(good, field, '{"x":1}')), 400, 'VALIDATION_FAILED');
      expect(body?.errors).toEqual([{ path: `/${field.replaceAll('/', '~1')}`, message: 'is not a known field' }]);
    },
  );

  it('rejects a body without a required field', async () => {
    for (const field of [...texts, 'year']) {
      const rest = Object.fromEntries(Object.entries(good).filter(([name]) => name !== field));
      const { body } = await refuse({ json: rest }, 400, 'VALIDATION_FAILED');
      expect(body?.errors).toEqual([{ path: `/${field}`, message: 'is required' }]);
    }
  });

  it.each(['two words', 'x'.repeat(256), 'caf\u00e9', '\t'])('rejects an idempotency key: %j', async (key) => {
    if (key === '\t') return; // fetch trims it away; the unit tests send it
    await refuse({ json: good, headers: { 'idempotency-key': key } }, 400, 'VALIDATION_FAILED');
  });
});

describe('the album of a song', () => {
  it.each(['null', '7', 'true', '[]', '{}', '"album-\\u0000"', '"\\ud800"'])('rejects %s', async (albumId) => {
    for (const [method, path] of [
      ['POST', '/songs'],
      ['PUT', `/songs/${ids.song}`],
    ] as const) {
      expectRefusal(
        await client.send(method, path, raw(withField(song, 'albumId', albumId))),
        400,
        'VALIDATION_FAILED',
      );
    }
  });
});

describe('unknown ids', () => {
  const strange = [
    'album-', 'song-', 'album-0', 'song-0', 'nothing', '0', '-', 'null', '[object%20Object]', '%00', 'album-%00', 'song-%00',
    'album-%0A', '%', '%zz', '%c0%80', '%ff', '%ed%a0%80', 'album-%ed%a0%80', '%2F', 'album-%2F..', "album-';--", '*',
    'album-%F0%9F%8E%B5', `album-${'x'.repeat(10_000)}`, 'genesis-openmusic.catalog-0', '__proto__', 'likes', '%3Cscript%3E',
  ]; // prettier-ignore

  it.each(strange)('%s', async (id) => {
    for (const [kind, body] of [
      ['albums', album],
      ['songs', song],
    ] as const) {
      const path = `/${kind}/${id}`;
      expectRefusal(await client.get(path), 404);
      expectRefusal(await client.put(path, body), 404);
      expectRefusal(await client.delete(path), 404);
      const head = await client.send('HEAD', path);
      expect([head.status, head.text]).toEqual([404, '']);
    }
  });

  it('rejects the id of an album where a song is expected', async () => {
    expectRefusal(await client.get(`/songs/${ids.album}`), 404, 'SONG_NOT_FOUND');
    expectRefusal(await client.put(`/songs/${ids.album}`, song), 404, 'SONG_NOT_FOUND');
    expectRefusal(await client.delete(`/albums/${ids.song}`), 404, 'ALBUM_NOT_FOUND');
  });

  it('reports an invalid body before a missing resource', async () => {
    expectRefusal(await client.put('/albums/album-0', {}), 400);
  });
});

describe('bodies of requests that take none', () => {
  it.each([
    ['none', {}],
    ['an empty one declared as JSON', raw('')],
    ['an empty one declared as text', raw('', { 'content-type': 'text/plain' })],
    ['an object', raw('{}')],
  ])('%s', async (_name, options) => {
    for (const [kind, body, id] of [
      ['albums', album, 'albumId'],
      ['songs', song, 'songId'],
    ] as const) {
      const made = (await client.post(`/${kind}`, body)).body?.data?.[id] ?? '';
      expect((await client.send('DELETE', `/${kind}/${made}`, options)).status).toBe(200);
    }
    if (options.raw !== '{}') expect((await client.send('GET', '/', { headers: options.headers })).status).toBe(200);
  });
});

describe('addresses and methods', () => {
  it.each([
    ['GET', '/nothing', 404],
    ['POST', '/nothing', 404],
    ['GET', '/Albums', 404],
    ['GET', '/songs/', 404],
    ['GET', '//songs', 404],
    ['GET', '/%', 404],
    ['GET', '/albums', 405],
    ['DELETE', '/songs', 405],
    ['PATCH', '/albums/album-0', 405],
    ['POST', '/songs/song-0', 405],
    ['POST', '/health', 405],
    ['PROPFIND', '/songs', 405],
  ])('%s %s is %d', async (method, path, status) => {
    const answer = await client.send(
      method,
      path,
      method === 'GET' ? {} : raw('nonsense', { 'content-type': 'text/x' }),
    );
    expectRefusal(answer, status);
    expect(answer.headers.get('allow') !== null).toBe(status === 405);
  });

  it.each(['limit=0', 'limit=x', 'limit=1.5', 'limit=99999', 'cursor=%21', 'title=%00', 'performer=a&performer=b'])(
    'GET /songs?%s is 400',
    async (query) => expectRefusal(await client.get(`/songs?${query}`), 400, 'VALIDATION_FAILED'),
  );
});

describe('random input', () => {
  const anything = fc.oneof(
    fc.jsonValue({ maxDepth: 4 }),
    fc.record(
      {
        name: fc.oneof(fc.string({ unit: anyCharacter }), fc.jsonValue()),
        title: fc.oneof(fc.string({ unit: anyCharacter }), fc.jsonValue()),
        genre: fc.string({ unit: 'grapheme' }),
        performer: fc.string(),
        year: fc.oneof(fc.integer(), fc.double(), fc.jsonValue()),
        duration: fc.oneof(fc.integer(), fc.double()),
        albumId: fc.oneof(fc.string({ unit: anyCharacter }), fc.jsonValue()),
      },
      { requiredKeys: [] },
    ),
  );
  const target = fc.constantFrom(...writes);
  const property = fc.asyncProperty(
    target,
    fc.oneof(
      anything.map((value) => JSON.stringify(value)),
      fc.string(),
    ),
    sends,
  );

  async function sends({ method, path }: (typeof writes)[number], body: string): Promise<void> {
    const answer = await client.send(method, path(), raw(body));
    expect(answer.status).toBeLessThan(500);
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(answer.body?.status).toBe(answer.status < 300 ? 'success' : 'fail');
  }

  it('never gets a 5xx, always a JSON object, for a body', () => fc.assert(property, { numRuns: 500 }));

  it('never gets a 5xx for a path or a query', () => {
    const byte = fc.nat(255).map((value) => `%${value.toString(16).padStart(2, '0')}`);
    const piece = fc.oneof(
      byte,
      fc.constantFrom('%', '/', '.', '?', '&', '=', '[', ']', ';', '+', ',', '"', 'a', 'limit='),
    );
    const tail = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''));
    const head = fc.constantFrom('/albums/', '/songs/', '/songs?title=', '/songs?', '/');
    const asks = async (path: string) => {
      const answer = await client.get(path);
      expect(answer.status).toBeLessThan(500);
      expect(answer.body).toBeDefined();
    };
    return fc.assert(
      fc.asyncProperty(head, tail, (start, end) => asks(start + end)),
      { numRuns: 500 },
    );
  });
});
