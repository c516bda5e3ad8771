import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from '@jest/globals';
import { httpApp, noRates, type Substitutes } from '../../../../test/support/http-app.ts';
import { releasedSchemas } from '../../../events/codec.ts';

const started: { close(): Promise<unknown> }[] = [];
afterEach(() => Promise.all(started.splice(0).map((app) => app.close())));

const MEDIA_TYPE = 'application/vnd.schemaregistry.v1+json';
const ALBUM = 'openmusic.AlbumCreated';
const album = JSON.parse(
  readFileSync(new URL('../../../../schemas/AlbumCreated.v1.avsc', import.meta.url), 'utf8'),
) as { fields: object[] };
const schema = JSON.stringify(album);
const registered = { subject: ALBUM, id: 2, version: 1, schemaType: 'AVRO', schema };

function registryOf(substitutes?: Substitutes) {
  const { app } = httpApp(substitutes);
  started.push(app);
  return async (url: string, body?: object, method: 'GET' | 'POST' | 'PUT' | 'DELETE' = body ? 'POST' : 'GET') => {
    const answer = await app.inject({ method, url: `/registry${url}`, headers: { 'content-type': MEDIA_TYPE }, body });
    return { status: answer.statusCode, type: answer.headers['content-type'], body: answer.json<unknown>() };
  };
}

const ok = (body: unknown) => ({ status: 200, type: MEDIA_TYPE, body });
const refused = (status: number, error_code: number) => ({
  status,
  type: MEDIA_TYPE,
  body: { error_code, message: expect.any(String) },
});

describe('the registry answers without a login', () => {
  it.each([
    ['', {}],
    ['/schemas/types', ['AVRO']],
    ['/schemas/ids/2', { schema }],
    ['/schemas/ids/2?subject=openmusic.catalog-value', { schema }],
    ['/schemas/ids/2?fetchMaxId=true&subject=', { schema, maxId: releasedSchemas.length }],
    ['/schemas/ids/2/schema', album],
    ['/schemas/ids/2/subjects', [ALBUM]],
    ['/schemas/ids/2/versions?deleted=false', [{ subject: ALBUM, version: 1 }]],
    [`/subjects/${ALBUM}/versions`, [1]],
    [`/subjects/${ALBUM}/versions/1`, registered],
    [`/subjects/${ALBUM}/versions/latest?unknown=1`, registered],
    [`/subjects/${ALBUM}/versions/-1`, registered],
    [`/subjects/${ALBUM}/versions/latest/schema`, album],
    [`/subjects/${ALBUM}/versions/1/referencedby`, []],
    [
      '/subjects?subjectPrefix=openmusic.AlbumC',
      [`${ALBUM.slice(0, -7)}Changed`, 'openmusic.AlbumCoverChanged', ALBUM],
    ],
    ['/config', { compatibilityLevel: 'BACKWARD_TRANSITIVE' }],
    [`/config/${ALBUM}?defaultToGlobal=true`, { compatibilityLevel: 'BACKWARD_TRANSITIVE' }],
    ['/mode', { mode: 'READONLY' }],
  ])('GET /registry%s', async (url, body) => {
    expect(await registryOf()(url)).toEqual(ok(body));
  });

  it('lists every subject', async () => {
    const subjects = [...new Set(releasedSchemas.map(({ subject }) => subject))].sort();
    expect(await registryOf()('/subjects?subjectPrefix=:*:')).toEqual(ok(subjects));
  });

  it('finds a schema by its content in any layout, also for a client that names the subject by the topic', async () => {
    const ask = registryOf();
    const undocumented = {
      ...album,
      doc: undefined,
      fields: album.fields.map((field) => ({ ...field, doc: undefined })),
    };
    const body = { schema: JSON.stringify(undocumented, null, 2), schemaType: 'AVRO', references: [] };
    expect(await ask(`/subjects/${ALBUM}?normalize=false&deleted=false`, body)).toEqual(ok(registered));
    expect(await ask('/subjects/openmusic.catalog-value', body)).toEqual(ok(registered));
    expect(await ask('/subjects/openmusic.SongCreated', body)).toEqual(refused(404, 40_403));
  });

  it('checks whether a schema reads earlier values', async () => {
    const ask = registryOf();
    const more = (field: object) => ({ schema: JSON.stringify({ ...album, fields: [...album.fields, field] }) });
    const url = `/compatibility/subjects/${ALBUM}/versions`;
    const sound = more({ name: 'label', type: ['null', 'string'], default: null });
    const broken = more({ name: 'label', type: 'string' });
    for (const where of [url, `${url}/latest`, `${url}/1`]) {
      expect(await ask(where, sound)).toEqual(ok({ is_compatible: true }));
      expect(await ask(where, broken)).toEqual(ok({ is_compatible: false }));
    }
    expect(await ask(`${url}?verbose=true`, broken)).toEqual(
      ok({ is_compatible: false, messages: [expect.stringMatching(/^version 1: .*label/)] }),
    );
  });

  it('answers on a server that only follows another one', async () => {
    const ask = registryOf({ readOnly: true });
    expect(await ask(`/subjects/${ALBUM}`, { schema })).toEqual(ok(registered));
    expect(await ask(`/subjects/${ALBUM}/versions`, { schema })).toEqual(refused(404, 404));
  });
});

describe('the registry refuses in the form that its clients read', () => {
  it.each([
    ['/schemas/ids/999', 404, 40_403],
    ['/schemas/ids/x', 404, 40_403],
    ['/schemas/ids/999/versions', 404, 40_403],
    ['/subjects/unknown/versions', 404, 40_401],
    ['/subjects/unknown/versions/1', 404, 40_401],
    ['/subjects/openmusic.catalog-value/versions/latest', 404, 40_401],
    [`/subjects/${ALBUM}/versions/2`, 404, 40_402],
    [`/subjects/${ALBUM}/versions/0`, 422, 42_202],
    [`/subjects/${ALBUM}/versions/newest`, 422, 42_202],
    [`/subjects/${ALBUM}/versions/2147483648`, 422, 42_202],
    [`/config/${ALBUM}`, 404, 40_408],
    [`/mode/${ALBUM}`, 404, 40_409],
    ['/associations/resources/-/openmusic.catalog?resourceType=topic', 404, 404],
    ['/contexts', 404, 404],
    ['/%zz', 404, 404],
  ])('GET /registry%s', async (url, status, code) => {
    expect(await registryOf()(url)).toEqual(refused(status, code));
  });

  it.each([
    ['PUT', '/config'],
    ['PUT', `/mode/${ALBUM}`],
    ['DELETE', `/subjects/${ALBUM}`],
    ['POST', `/subjects/${ALBUM}/versions`],
    ['POST', '/schemas/ids/2'],
  ] as const)('%s /registry%s is not there', async (method, url) => {
    expect(await registryOf()(url, { schema }, method)).toEqual(refused(404, 404));
  });

  it.each([
    ['no JSON', { schema: '{' }],
    ['no schema', { schema: '{"type":"unknown"}' }],
    ['a name that is none', { schema: '{"type":"record","name":"a b","fields":[]}' }],
    ['deep nesting', { schema: `${'{"type":"array","items":'.repeat(2_000)}"int"${'}'.repeat(2_000)}` }],
    ['another kind of schema', { schema, schemaType: 'PROTOBUF' }],
  ])('%s is 42201', async (_, body) => {
    const ask = registryOf();
    expect(await ask(`/subjects/${ALBUM}`, body)).toEqual(refused(422, 42_201));
    expect(await ask(`/compatibility/subjects/${ALBUM}/versions`, body)).toEqual(refused(422, 42_201));
  });

  it('a body without a schema, or one that is too large', async () => {
    const ask = registryOf();
    expect(await ask(`/subjects/${ALBUM}`, {})).toEqual(refused(400, 400));
    expect(await ask(`/subjects/${ALBUM}`, { schema: 'x'.repeat(70_000) })).toEqual(refused(413, 413));
  });

  it('too many requests', async () => {
    const ask = registryOf({ rates: { ...noRates, default: { count: 2, seconds: 60 } } });
    await ask('/mode');
    await ask('/associations/resources/-/x');
    expect(await ask('/mode')).toEqual(refused(429, 429));
  });
});
