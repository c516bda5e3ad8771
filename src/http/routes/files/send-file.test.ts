import { Readable } from 'node:stream';
import { afterEach, expect, it } from '@jest/globals';
import Fastify, { type FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { until } from '../../../../test/support/servers/waiting.ts';
import type { OpenFile } from '../../../providers/files/files.ts';
import { answerErrors } from '../../errors.ts';
import { sendFile } from './send-file.ts';

const text = '0123456789';
let app: FastifyInstance;
afterEach(() => app.close());

/** A server with one file, which must be closed or read to its end each time. */
function serve(read?: OpenFile['read'], name?: string) {
  let [open, closed] = [0, 0];
  app = Fastify();
  app.setErrorHandler(answerErrors(pino({ level: 'silent' })));
  app.get('/', (request, reply) => {
    open++;
    const end = () => {
      closed++;
      return Promise.resolve();
    };
    const part = ({ start, end: last } = { start: 0, end: text.length - 1 }) =>
      Promise.resolve(Readable.from([text.slice(start, last + 1)]).on('close', () => closed++));
    const file: OpenFile = { size: text.length, read: read ?? part, close: end };
    return sendFile(request, reply, { file, mediaType: 'image/png', etag: '"a.png"', name });
  });
  return {
    get: (headers: Record<string, string> = {}, method: 'GET' | 'HEAD' = 'GET') =>
      app.inject({ method, url: '/', headers }),
    nothingLeftOpen: () => until(() => Promise.resolve(open === closed), 5_000, () => `${open - closed} left open`), // prettier-ignore
  };
}

it.each([
  ['nothing', {}, 200, text, undefined],
  ['a first part', { range: 'bytes=0-3' }, 206, '0123', 'bytes 0-3/10'],
  ['one byte', { range: 'bytes=9-9' }, 206, '9', 'bytes 9-9/10'],
  ['all from a byte on', { range: 'bytes=7-' }, 206, '789', 'bytes 7-9/10'],
  ['the last bytes', { range: 'bytes=-3' }, 206, '789', 'bytes 7-9/10'],
  ['more last bytes than there are', { range: 'bytes=-65557' }, 206, text, 'bytes 0-9/10'],
  ['just as many last bytes', { range: 'bytes=-10' }, 206, text, 'bytes 0-9/10'],
  ['no end of last bytes', { range: `bytes=-${'9'.repeat(400)}` }, 206, text, 'bytes 0-9/10'],
  ['a first part, and more last bytes than there are', { range: 'bytes=0-1, -11' }, 206, text, 'bytes 0-9/10'],
  ['a part in a unit in capitals', { range: 'BYTES=0-3' }, 206, '0123', 'bytes 0-3/10'],
  ['more than there is', { range: 'bytes=8-999999999999999999999' }, 206, '89', 'bytes 8-9/10'],
  ['two parts that are one', { range: 'bytes=0-1,2-3' }, 206, '0123', 'bytes 0-3/10'],
  ['two parts', { range: 'bytes=0-1,5-6' }, 200, text, undefined],
  [
    'two hundred parts',
    { range: `bytes=${Array.from({ length: 200 }, () => '0-0,5-5').join()}` },
    200,
    text,
    undefined,
  ],
  ['another unit', { range: 'lines=0-1' }, 200, text, undefined],
  ['nonsense', { range: 'bytes' }, 200, text, undefined],
  ['a part of another file', { range: 'bytes=0-3', 'if-range': '"b.png"' }, 200, text, undefined],
  ['a part of this file', { range: 'bytes=0-3', 'if-range': '"a.png"' }, 206, '0123', 'bytes 0-3/10'],
  ['a file with an ETag of another one', { 'if-none-match': '"b.png"' }, 200, text, undefined],
])('answers a request for %s', async (_, headers: Record<string, string>, status, body, contentRange) => {
  const { get, nothingLeftOpen } = serve();
  const answer = await get(headers);
  expect([answer.statusCode, answer.body, answer.headers['content-range']]).toEqual([status, body, contentRange]);
  expect(answer.headers).toMatchObject({
    'content-length': String(body.length),
    'content-type': 'image/png',
    'cache-control': 'no-cache',
    'x-content-type-options': 'nosniff',
    'content-security-policy': "default-src 'none'; sandbox",
    'cross-origin-resource-policy': 'cross-origin',
    'accept-ranges': 'bytes',
    etag: '"a.png"',
  });
  await nothingLeftOpen();
});

const CACHED_HEADERS = ['cache-control', 'accept-ranges', 'x-content-type-options', 'content-security-policy', 'cross-origin-resource-policy']; // prettier-ignore

it.each([['"a.png"'], ['"b.png", W/"a.png"'], ['*']])(
  'a client that has the file, by %s, gets 304 with the same headers',
  async (tag) => {
    const { get, nothingLeftOpen } = serve();
    const answer = await get({ 'if-none-match': tag, range: 'bytes=0-3' });
    expect([answer.statusCode, answer.body, answer.headers.etag]).toEqual([304, '', '"a.png"']);
    const whole = (await get()).headers;
    for (const header of CACHED_HEADERS)
      expect([header, answer.headers[header]]).toEqual([header, whole[header] ?? 'none']);
    await nothingLeftOpen();
  },
);

it.each([['bytes=10-'], ['bytes=20-30'], ['bytes=-0']])(
  'a range outside of the file, %s, is a 416 that is not cached',
  async (range) => {
    const { get, nothingLeftOpen } = serve();
    const answer = await get({ range });
    expect([answer.statusCode, answer.headers['content-range']]).toEqual([416, 'bytes */10']);
    expect(answer.headers).not.toHaveProperty('cache-control');
    expect(answer.json()).toMatchObject({ status: 'fail', code: 'RANGE_NOT_SATISFIABLE' });
    await nothingLeftOpen();
  },
);

it('HEAD with a range gets the headers of the whole file', async () => {
  const { get, nothingLeftOpen } = serve();
  const answer = await get({ range: 'bytes=0-3' }, 'HEAD');
  expect([answer.statusCode, answer.headers['content-length'], answer.body]).toEqual([200, '10', '']);
  await nothingLeftOpen();
});

it.each([
  ['all of it', {}, 200, text],
  ['a part', { range: 'bytes=0-3' }, 206, '0123'],
])('a file with a name is saved under it and is private: %s', async (_, headers, status, body) => {
  const { get, nothingLeftOpen } = serve(undefined, 'Über "x".json');
  const answer = await get(headers);
  expect([answer.statusCode, answer.body]).toEqual([status, body]);
  expect(answer.headers).toMatchObject({
    'content-disposition': `attachment; filename="_ber _x_.json"; filename*=UTF-8''%C3%9Cber%20%22x%22.json`,
    'cache-control': 'private, no-cache',
    'x-content-type-options': 'nosniff',
    etag: '"a.png"',
  });
  await nothingLeftOpen();
});

it('a file with a name is not sent again to a client that has it', async () => {
  const { get, nothingLeftOpen } = serve(undefined, 'a.json');
  const answer = await get({ 'if-none-match': '"a.png"' });
  expect([answer.statusCode, answer.headers['cache-control']]).toEqual([304, 'private, no-cache']);
  await nothingLeftOpen();
});

it('a file without a name is shown inline', async () => {
  expect((await serve().get()).headers).not.toHaveProperty('content-disposition');
});

it('a file that cannot be read is an error that is not cached', async () => {
  const { get } = serve(() => Promise.reject(new Error('gone')));
  const answer = await get({ range: 'bytes=0-3' });
  expect(answer.statusCode).toBe(500);
  for (const header of ['cache-control', 'etag', 'content-range']) expect(answer.headers).not.toHaveProperty(header);
});
