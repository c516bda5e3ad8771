import { Readable } from 'node:stream';
import { afterAll, describe, expect, it } from '@jest/globals';
import { readEnvelope } from '../../src/events/envelope.ts';
import { isKnown } from '../../src/http/etag.ts';
import { imageTypeOf } from '../../src/http/routes/albums/images.ts';
import { mustBeWithin } from '../../src/http/json-body.ts';
import { ownerByLink } from '../../src/http/routes/files/links.ts';
import { momentQuery } from '../../src/http/paging.ts';
import { streamIds } from '../../src/http/stream-ids.ts';
import { pointer } from '../../src/http/validation.ts';
import { faultOf } from '../../src/jobs/cron.ts';
import { csvLine } from '../../src/jobs/csv.ts';
import { jobTypes } from '../../src/jobs/job-types.ts';
import { detailsOf } from '../../src/jobs/types/import-details.ts';
import { headerFault, linesOf } from '../../src/jobs/types/import-lines.ts';
import { searchFor } from '../../src/projections/songs.ts';
import { attachmentOf } from '../../src/providers/files/disposition.ts';
import { isAddress, withoutAddresses } from '../../src/providers/mail/address.ts';
import { compose } from '../../src/providers/mail/compose.ts';
import { isPublicAddress } from '../../src/providers/mail/ip-addresses.ts';
import { failureOfSending } from '../../src/providers/mail/smtp-failures.ts';
import { httpApp } from '../support/http-app.ts';
import { KEYS } from '../support/keys.ts';
import { forge, now } from '../support/tokens.ts';

/**
 * Each function that parses external text gets 100 kB of its worst input: repeated openings, near-matches, long runs. Four
 * times the text takes about four times the CPU time; quadratic code takes sixteen times, and seconds.
 */
const LENGTH = 100_000;
/** Limits of what admins may send: imports and batches. */
const LONG = 1_000_000;
const MAX_RATIO = 8;
/** Per 100 kB. Shorter times cannot be distinguished from noise, and block nothing. */
const SMALL_MS = 100;
const TRIES = 3;

type Act = (text: string) => unknown;

async function cpuMs(act: Act, text: string): Promise<number> {
  const before = process.cpuUsage();
  await act(text);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

/** The best of a few tries; the first is enough where it is fast. */
async function expectLinear(act: Act, textOf: (length: number) => string, length = LENGTH): Promise<void> {
  const smallMs = (SMALL_MS * length) / LENGTH;
  let ratio = Infinity;
  for (let tries = 0; tries < TRIES && ratio >= MAX_RATIO; tries++) {
    const whole = await cpuMs(act, textOf(length));
    if (whole <= smallMs) return;
    ratio = whole / Math.max(await cpuMs(act, textOf(length / 4)), smallMs / 4);
  }
  expect(ratio).toBeLessThan(MAX_RATIO);
}

/** A text of many repeats, after a beginning and before an end. */
const textFrom =
  ([repeated, beginning = '', end = '']: Shape) =>
  (length: number) =>
    beginning + repeated.repeat(length / repeated.length) + end;

type Shape = readonly [repeated: string, beginning?: string, end?: string];

const RUNS: readonly Shape[] = [['a'], [' '], ['"'], ['\\'], ['@'], ['.'], ['-'], ['\u{1F3B5}'], ['é'], ['\0'], ['\n'], ['a '], ['a.'], ['a@'], ['"a']]; // prettier-ignore

/** Calls the function with the text, and ignores a refusal. */
const tried =
  (act: Act): Act =>
  async (text) => {
    try {
      await act(text);
    } catch {
      // refused
    }
  };

const bytesOf = (text: string) => Buffer.from(text, 'latin1');
const payloadOf = (name: string) => jobTypes.find((type) => type.name === name)?.payload;
const mail = { messageId: 'a@b.c', to: 'a@b.c', subject: '', body: '' };

async function readAll(format: 'csv' | 'ndjson', text: string): Promise<void> {
  const chunks = text.match(/[^]{1,1000}/g) ?? [];
  for await (const line of linesOf(format, Readable.from(chunks.map((chunk) => Buffer.from(chunk)))))
    if ('value' in line) detailsOf(line.value);
}

const record = (headers: Record<string, string>) => ({
  key: 'k',
  value: Buffer.alloc(0),
  headers: { ce_checksum: '00000000-00000000', ...headers },
});

const FUNCTIONS: readonly (readonly [name: string, act: Act, shapes?: readonly Shape[]])[] = [
  ['addresses in replies of servers', withoutAddresses, [['"@'], ['@['], ['a@b '], ['<a@'], ['a"@'], ['[a@[']]],
  ['failures of mail servers', (text) => failureOfSending({ message: text, responseCode: 550 })],
  [
    'e-mail addresses',
    isAddress,
    [
      ['a.', '', '@b.c'],
      ['a-', 'a@'],
      ['a.', 'a@', '.'],
      ['ä', 'a@'],
      ['@', 'a'],
    ],
  ],
  ['host addresses', isPublicAddress, [['1.'], [':'], ['a:'], ['::'], ['0x'], ['1', '1.2.3.']]],
  ['cron expressions', (text) => faultOf(text, 'UTC', new Date()), [[',0-59', '0', ' * * * * *'], ['* '], [' ', '* * * *', '!'], ['1#5,', '* * * * ']]], // prettier-ignore
  ['time zones', (text) => faultOf('* * * * *', text, new Date()), [['a/'], ['+0']]],
  [
    'the first line of CSV',
    (text) => headerFault(text),
    [
      ['kind,'],
      ['"', 'kind,'],
      ['"a', '"'],
      [' ', 'kind'],
      ['\r'],
      [','],
      [';', 'sep=;'],
      [' ', 'sep=a'],
      ['\t', 'kind'],
    ],
  ],
  ['lines of CSV', (text) => readAll('csv', `kind,name\n${text}`), [['"', '"'], ['a,b\n'], ['a,b,\n'], ['"a', '"'], ['"a\n'], [','], ['\r'], ['\r', '"'], ['\r\n', '', '"'], ['""', 'a,"']]], // prettier-ignore
  ['lines of NDJSON', (text) => readAll('ndjson', text), [['['], ['{"a":'], ['[]\n'], ['1,', '['], ['"a":1,', '{']]],
  ['details of songs', (text) => detailsOf({ kind: 'song', title: text, [text]: 1, album: text })],
  ['many unknown details', (text) => detailsOf({ kind: 'album', ...Object.fromEntries(text.split(',').map((key, n) => [`${key}${n}`, 1])) }), [['a,']]], // prettier-ignore
  [
    'cells of CSV',
    (text) => csvLine([text]),
    [['"', '='], [' ', '', 'a'], ['\t'], ['\r\n'], ["'"], [';'], ['; '], ['\u200b', ';'], ['\t '], [';=']],
  ],
  ['searches', (text) => searchFor({ title: text, performer: text }, 100), [['%'], ['_'], ['Σ'], ['\u0315\u0300']]],
  ['cursors', (text) => momentQuery.safeParse(text), [['MjAyNi0wMS0wMVQ']]],
  ['ETags', (text) => isKnown(text, '"x"'), [['W/'], ['W/"'], ['"a" '], ['""'], ['"a', 'W/"']]],
  [
    'ids',
    tried(streamIds('album', () => new Error())),
    [
      ['a', 'album-'],
      ['\u0001', 'album-'],
    ],
  ],
  ['links', (text) => ownerByLink({ method: 'GET', fileId: text, query: { owner: text, expires: text, signature: text } }, { current: KEYS.LINK_KEY }), [['9']]], // prettier-ignore
  ['names of fields', (text) => pointer([text]), [['~'], ['/'], ['~/']]],
  ['names of files', attachmentOf, [['%'], ['\u202e'], ["'"], ['\ud800']]],
  ['images', tried((text) => imageTypeOf(bytesOf(text))), [['\xff', '\xff\xd8'], ['\xff\x01', '\xff\xd8'], ['\xff\0', '\xff\xd8'], ['\0', '\xff\xd8'], ['\0\0\0\x01free\0\0\0\0\0\0\0\x10'], ['\xff\xe0\0\x02', '\xff\xd8'], ['!\0\x01a\0', 'GIF89a\x01\0\x01\0\0\0\0'], [',\0\0\0\0\0\0\0\0\0\0\0', 'GIF89a\x01\0\x01\0\0\0\0'], ['\x01a', 'GIF89a\x01\0\x01\0\0\0\0!\0'], ['\0\0\0\x08free'], ['avix', '\0\x01\x86\xa8ftyp'], ['\0\0\0\x08meta']]], // prettier-ignore
  ['subjects of mail', (text) => compose({ ...mail, subject: text }, 'a@b.c'), [['=?'], ['?= =?'], ['\u2028']]],
  ['bodies of mail', (text) => compose({ ...mail, body: text }, 'a@b.c'), [['\r'], ['\r\n'], ['\ud800']]],
  ['names of attachments', (text) => compose({ ...mail, attachments: [{ name: text, mediaType: text, content: Buffer.alloc(0) }] }, 'a@b.c'), [['; '], ['=?'], ["'"]]], // prettier-ignore
  ['headers of records', (text) => readEnvelope(record({ ce_type: text, ce_subject: text, ce_time: text, ce_id: text })), [['a.', 'a'], ['0', '0000-']]], // prettier-ignore
  [
    'payloads of exports',
    (text) => payloadOf('export-playlist')?.safeParse({ playlistId: text, targetEmail: text, provider: text }),
  ],
  [
    'payloads of imports',
    (text) => payloadOf('import-catalog')?.safeParse({ format: 'csv', data: text }),
    [['kind\n'], ['"\n', 'kind,']],
  ],
  ['payloads of archives', (text) => payloadOf('archive')?.safeParse({ fileIds: text.split(',') }), [['a,']]],
  ['payloads of mails', (text) => payloadOf('email')?.safeParse({ to: text, subject: text, body: text })],
  ['payloads of batches', (text) => payloadOf('email-batch')?.safeParse({ items: text.split(',') }), [['a,']]],
];

describe('takes time proportional to its length:', () => {
  it.each(FUNCTIONS)('%s', async (_name, act, shapes = []) => {
    for (const shape of [...RUNS, ...shapes]) await expectLinear(act, textFrom(shape));
  });
});

describe('a request takes time proportional to its length', () => {
  const { app } = httpApp({ trustProxy: ['127.0.0.1'] });
  afterAll(() => app.close());
  const claims = { sub: 'user-9', role: 'admin', aud: 'access', jti: 'x', iat: now(), exp: now() + 600 };
  const authorization = `Bearer ${forge(claims, KEYS.ACCESS_TOKEN_KEY)}`;

  const HEADERS: readonly (readonly [name: string, shapes: readonly Shape[]])[] = [
    ['accept', [['application/problem+json;'], ['application/problem+json,q'], [' ', 'application/problem+json', 'x'], ['0', 'application/problem+json;q=0.', '1'], [', ']]], // prettier-ignore
    [
      'authorization',
      [
        ['a', 'Bearer '],
        [' ', 'Bearer', 'x'],
        ['a.', 'Bearer '],
        ['eyJ', 'Bearer a.', '.b'],
        ['e30.', 'Bearer '],
      ],
    ],
    ['content-type', [['a/'], [';a=', 'application/json'], ['"', 'application/json;a='], [' ', 'application/json;']]],
    ['if-match', [['"1-a",'], ['W/'], ['"1-', '"']]],
    ['if-none-match', [['"1-a",'], ['W/'], ['"'], [' ,'], [' ', '"a"', 'x']]],
    ['idempotency-key', [['a'], [' ']]],
    ['x-request-id', [['a']]],
    ['x-forwarded-for', [['1.1.1.1,'], ['[::1]:1,'], ['"', '['], [':'], ['a:'], ['1'], ['::,'], [' ']]],
    [
      'range',
      [
        ['0-0,', 'bytes='],
        ['-', 'bytes='],
        ['9', 'bytes=0-'],
        [' ', 'bytes='],
        ['-9,', 'bytes='],
      ],
    ],
    ['last-event-id', [['1']]],
    ['host', [['a'], ['1:'], ['[:'], [' ', 'a', 'b']]],
    ['content-encoding', [['identity,'], [' ', 'a', 'b']]],
    ['cookie', [['a=b; ']]],
    ['origin', [['a']]],
  ];

  it.each(HEADERS)('with the header %s', async (header, shapes) => {
    for (const shape of shapes) {
      await expectLinear(
        (text) =>
          app.inject({ method: 'PUT', url: '/albums/album-1', headers: { authorization, [header]: text }, body: {} }),
        textFrom(shape),
      );
    }
  });

  const ADDRESSES: readonly Shape[] = [['a', '/albums/album-'], ['/'], ['/a'], ['%2F', '/albums/'], ['%', '/albums/'], ['%41', '/nothing/'], ['a&', '/songs?'], ['title=a&', '/songs?'], ['%', '/songs?title='], ['+', '/songs?title='], ['=', '/songs?'], ['a', '/songs?cursor='], ['1', '/songs?limit=']]; // prettier-ignore

  it.each(ADDRESSES)('to an address with many repeats of %j after %j', (...shape) =>
    expectLinear((url) => app.inject({ url }), textFrom(shape)),
  );

  const BODIES: readonly (readonly [url: string, ...shape: Shape])[] = [
    ['/jobs', '{"a":', '{"type":"dummy","payload":{"x":'],
    ['/jobs', '"a":1,', '{"type":"dummy","payload":{', '"b":1}}'],
    ['/jobs', '0,', '{"type":"dummy","payload":{"x":[', '0]}}'],
    ['/jobs', '{},', '{"type":"email-batch","payload":{"items":[', '{}]}}'],
    ['/jobs', 'a', '{"type":"dummy","deliverAt":"2030-01-01T00:00:00.', 'Z"}'],
    ['/jobs', '0', '{"type":"dummy","deliverAt":"2030-01-01T00:00:00.', 'Z"}'],
    ['/jobs', '[', '{"type":"dummy","payload":'],
    ['/jobs', '\\"', '"', '"'],
    ['/jobs', '"', '{'],
    ['/messages/batch', '{},', '{"items":[', '{}]}'],
    ['/messages/batch', '[],', '{"items":[', '{}]}'],
    ['/messages', 'a@', '{"to":"', '"}'],
    ['/downloads', '"a",', '{"fileIds":[', '"b"]}'],
    ['/admin/dead-letters/redrive', '0,', '{"jobIds":[', '0]}'],
  ];

  it.each(BODIES)('to %s with a body of many repeats of %j after %j', async (url, ...shape) => {
    const headers = { authorization, 'content-type': 'application/json', 'idempotency-key': 'k' };
    await expectLinear((body) => app.inject({ method: 'POST', url, headers, body }), textFrom(shape));
  });

  const FORMS: readonly Shape[] = [['\r\n--x'], ['\r\n--', '--x\r\n'], ['--x\r\n'], [';a=b', '--x\r\ncontent-disposition: form-data'], ['a: b\r\n', '--x\r\n'], ['"', '--x\r\ncontent-disposition: form-data; name="'], ['\r\n-', '--x\r\ncontent-disposition: form-data; name="cover"; filename="a"\r\n\r\n']]; // prettier-ignore

  it.each(FORMS)('with a form of many repeats of %j after %j', async (...shape) => {
    const headers = { authorization, 'content-type': 'multipart/form-data; boundary=x' };
    await expectLinear(
      (body) => app.inject({ method: 'POST', url: '/albums/album-1/covers', headers, body }),
      textFrom(shape),
    );
  });
});

/** A line of a hundred bytes; shorter ones are tested above. */
const ROW = 'a'.repeat(99);
/** Admin requests of more than 64 KiB, and their parsers. */
const LONG_TEXTS: readonly (readonly [name: string, act: Act, shapes: readonly Shape[]])[] = [
  ['lines of CSV', (text) => readAll('csv', `kind,name\n${text}`), [[`${ROW}\n`], ['"a",', 'a,"']]], // prettier-ignore
  ['lines of NDJSON', (text) => readAll('ndjson', text), [[`"${ROW}"\n`], ['{"a":'], ['1,', '[']]],
  ['payloads of imports', (text) => payloadOf('import-catalog')?.safeParse({ format: 'csv', data: text }), [['kind\n']]], // prettier-ignore
  ['payloads of batches', (text) => payloadOf('email-batch')?.safeParse({ items: text.split(',') }), [['a,']]],
  ['bodies', tried((text) => mustBeWithin(Buffer.from(text), { bodyDepth: 20, bodyFields: 1_000 })), [['[]'], ['{"a":1},'], ['\\"'], ['"a"'], ['{']]], // prettier-ignore
];

describe('admin input takes time proportional to its length', () => {
  it.each(LONG_TEXTS)('%s', async (_name, act, shapes) => {
    for (const shape of shapes) await expectLinear(act, textFrom(shape), LONG);
  });

  const { app } = httpApp({ jobs: { batch: { items: 5, bytes: 2 * LONG } } });
  afterAll(() => app.close());
  const claims = { sub: 'user-9', role: 'admin', aud: 'access', jti: 'x', iat: now(), exp: now() + 600 };
  const authorization = `Bearer ${forge(claims, KEYS.ACCESS_TOKEN_KEY)}`;

  const LONG_BODIES: readonly (readonly [url: string, ...shape: Shape])[] = [
    ['/messages/batch', '{},', '{"items":[', '{}]}'],
    ['/messages/batch', '"a",', '{"items":[{"to":[', '"a"]}]}'],
    ['/jobs', 'a', '{"type":"import-catalog","payload":{"format":"csv","data":"', '"}}'],
    ['/jobs', '\\n', '{"type":"import-catalog","payload":{"format":"ndjson","data":"', '"}}'],
    ['/jobs', '{},', '{"type":"email-batch","payload":{"items":[', '{}]}}'],
    ['/messages', 'a', '{"to":"a@b.co","subject":"a","body":"', '"}'],
    ['/admin/dead-letters/job-1/redrive', '[],', '{"payload":{"x":[', '0]}}'],
  ];

  it.each(LONG_BODIES)('to %s with a body of many repeats of %j after %j', async (url, ...shape) => {
    const headers = { authorization, 'content-type': 'application/json', 'idempotency-key': 'k' };
    await expectLinear((body) => app.inject({ method: 'POST', url, headers, body }), textFrom(shape), LONG);
  });
});

it('reads each byte of a body once', () => {
  for (const text of ['[]', '{"a":1},', '\\"', '"a"', '"\\\\"'].map((part) => part.repeat(LENGTH / part.length))) {
    let reads = 0;
    const counted = new Proxy(Buffer.from(text), {
      get(bytes, name) {
        if (typeof name === 'string' && /^\d+$/.test(name)) reads++;
        return Reflect.get(bytes, name, bytes) as unknown;
      },
    });
    mustBeWithin(counted, { bodyDepth: 20, bodyFields: 1_000 });
    expect(reads).toBeLessThanOrEqual(3 * text.length);
  }
});
