import { afterAll, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { anyCharacter } from '../../../../test/support/characters.ts';
import { type AnswerBody, httpApp } from '../../../../test/support/http-app.ts';
import { KEYS } from '../../../../test/support/keys.ts';
import { forge, now } from '../../../../test/support/tokens.ts';

const claims = { sub: 'user-9', role: 'admin', aud: 'access', jti: 'x', iat: now(), exp: now() + 600 };
const headers = { authorization: `Bearer ${forge(claims, KEYS.ACCESS_TOKEN_KEY)}` };

const { app, sent, submissions } = httpApp();
beforeEach(() => void submissions.splice(0));
afterAll(() => app.close());

const mail = { to: 'chris@example.com', subject: 'Yes', body: 'No' };
const year = new Date().getUTCFullYear();
const ahead = `${year + 1}-01-31T09:30:00Z`;
/** Text in the form of a cursor of a list of jobs. */
const moments = fc
  .tuple(fc.date({ noInvalidDate: true }), fc.string({ unit: anyCharacter }))
  .map(([date, id]) => `${date.toISOString()} job-${id}`);
const encodedCursor = (key: string) => Buffer.from(key).toString('base64url');

/** Keys with an invalid time, or not of a job. */
const BAD_MOMENTS = [
  ...['2020 job-1', '2020-01-01T00:00:00.000Z', '2020-13-01T00:00:00.000Z job-1', '2026-02-30T00:00:00.000Z job-1'],
  ...['2025-02-29T00:00:00.000Z job-1', '2026-04-31T00:00:00.000Z job-1', '0000-01-01T00:00:00.000Z job-1'],
  ...['2026-01-01T24:00:00.000Z job-1', '2026-01-01T00:00:60.000Z job-1', '2026-01-01T00:00:00.000Z playlist-1'],
  ...[
    '+20260-01-01T00:00:00.000Z job-1',
    '2026-01-01T00:00:00.000Z job-1 job-2',
    '2026-01-01T00:00:00.000+00:00 job-1',
  ],
];

describe('an invalid request', () => {
  const dummy = (more: object) => ({ type: 'dummy', ...more });
  const CASES: [path: string, url: string, body: object][] = [
    ['/type', '/jobs', {}],
    ['/type', '/jobs', { type: 'nothing' }],
    ['/type', '/jobs', { type: 7 }],
    ['/type', '/jobs', { type: '__proto__' }],
    ['/state', '/jobs', dummy({ state: 'dead' })],
    ['/payload', '/jobs', dummy({ payload: null })],
    ['/payload', '/jobs', dummy({ payload: [] })],
    ['/payload/duration', '/jobs', dummy({ payload: { duration: '1' } })],
    ['/payload/duration', '/jobs', dummy({ payload: { duration: -1 } })],
    ['/payload/other', '/jobs', dummy({ payload: { other: 1 } })],
    ['/payload', '/jobs', dummy({ payload: Object.fromEntries(Array.from({ length: 101 }, (_, n) => [`f${n}`, n])) })],
    ['/payload/other', '/jobs', dummy({ payload: { other: { 'a/b': ['\0'] } } })],
    ['/type', '/jobs', { type: 'd'.repeat(101) }],
    ['/payload/playlistId', '/jobs', { type: 'export-playlist', payload: { targetEmail: 'a@b.co' } }],
    ['/payload/targetEmail', '/jobs', { type: 'export-playlist', payload: { playlistId: 'x', targetEmail: 'x' } }],
    ['/payload/fileIds', '/jobs', { type: 'archive' }],
    ['/payload/items', '/jobs', { type: 'email-batch', payload: { items: Array.from({ length: 6 }, () => mail) } }],
    ['/payload/items/1/to', '/jobs', { type: 'email-batch', payload: { items: [mail, { ...mail, to: 'x' }] } }],
    ['/deliverAt', '/jobs', dummy({ deliverAt: 'tomorrow' })],
    ['/deliverAt', '/jobs', dummy({ deliverAt: 1_900_000_000 })],
    ['/deliverAt', '/jobs', dummy({ deliverAt: `${year + 1}-01-31` })],
    ['/deliverAt', '/jobs', dummy({ deliverAt: `${year + 1}-02-30T09:30:00Z` })],
    ['/deliverAt', '/jobs', dummy({ deliverAt: '2020-01-31T09:30:00Z' })],
    ['/deliverAt', '/jobs', dummy({ deliverAt: `${year + 11}-01-31T09:30:00Z` })],
    ['/deliverAt', '/jobs', dummy({ deliverAt: ahead, repeat: { cron: '0 9 * * 1', timeZone: 'UTC' } })],
    ['/repeat/cron', '/jobs', dummy({ repeat: { timeZone: 'UTC' } })],
    ['/repeat/cron', '/jobs', dummy({ repeat: { cron: '', timeZone: 'UTC' } })],
    ['/repeat/cron', '/jobs', dummy({ repeat: { cron: `0${',0'.repeat(96)} * * * *`, timeZone: 'UTC' } })],
    ['/repeat/timeZone', '/jobs', dummy({ repeat: { cron: '0 9 * * 1', timeZone: 'U'.repeat(101) } })],
    ['/repeat/cron', '/jobs', dummy({ repeat: { cron: '61 * * * *', timeZone: 'UTC' } })],
    ['/repeat/cron', '/jobs', dummy({ repeat: { cron: '0 0 30 2 *', timeZone: 'UTC' } })],
    ['/repeat/timeZone', '/jobs', dummy({ repeat: { cron: '0 9 * * 1', timeZone: 'Mars/Base' } })],
    ['/repeat/every', '/jobs', dummy({ repeat: { cron: '0 9 * * 1', timeZone: 'UTC', every: 1 } })],
    ['/attempts', '/jobs', dummy({ attempts: 0 })],
    ['/attempts', '/jobs', dummy({ attempts: 21 })],
    ['/attempts', '/jobs', dummy({ attempts: 1.5 })],
    ['/attempts', '/messages/batch', { items: [mail], attempts: '3' }],
    ['/backoff', '/jobs', dummy({ backoff: 'linear' })],
    ['/backoff', '/messages', { ...mail, backoff: null }],
    ['/priority', '/jobs', dummy({ priority: 101 })],
    ['/priority', '/messages', { ...mail, priority: -101 }],
    ['/targetEmail', '/export/playlists/playlist-1', {}],
    ['/targetEmail', '/export/playlists/playlist-1', { targetEmail: 'chris' }],
    ['/targetEmail', '/export/playlists/playlist-1', { targetEmail: 'a@b.co\r\nBcc: c@d.co' }],
    ['/targetEmail', '/export/playlists/none', { targetEmail: ['a@b.co'] }],
    ['/provider', '/export/playlists/playlist-1', { targetEmail: 'a@b.co', provider: null }],
    ['/fileIds', '/downloads', {}],
    ['/fileIds', '/downloads', { fileIds: [] }],
    ['/fileIds', '/downloads', { fileIds: Array.from({ length: 1_001 }, (_, n) => `file-${n}`) }],
    ['/fileIds', '/downloads', { fileIds: ['file-1', 'file-1'] }],
    ['/fileIds/0', '/downloads/check', { fileIds: [1] }],
    ['/fileIds', '/v1/download/initiate', { fileIds: ['file-1'] }],
    ['/file_ids', '/v1/download/check', { file_ids: 'file-1' }],
    ['/file_ids', '/v1/download/check', { file_ids: [7, '7'] }],
    ['/file_ids/0', '/v1/download/check', { file_ids: [1.5] }],
    ['/file_ids/0', '/v1/download/initiate', { file_ids: [null] }],
    ['/file_ids/0', '/v1/download/initiate', { file_ids: [1e20] }],
    ['/to', '/messages', { ...mail, to: 'chris@example.com, other@example.com' }],
    ['/subject', '/messages', { ...mail, subject: '' }],
    ['/body', '/messages', { ...mail, body: 'x'.repeat(50_001) }],
    ['/subject', '/messages', { ...mail, subject: 'a\0b' }],
    ['/body', '/messages', { ...mail, body: '\ud800' }],
    ['/cc', '/messages', { ...mail, cc: 'a@b.co' }],
    ['/items', '/messages/batch', { items: [] }],
    ['/items', '/messages/batch', { items: {} }],
    ['/items', '/messages/batch', { items: Array.from({ length: 6 }, () => 'x') }],
    ['/items/3/to', '/messages/batch', { items: [mail, mail, mail, { ...mail, to: 'x' }] }],
    ['/items/0/from', '/messages/batch', { items: [{ ...mail, from: 'a@b.co' }] }],
    ['/repeat', '/messages/batch', { items: [mail], repeat: { cron: '0 9 * * 1', timeZone: 'UTC' } }],
    ['/jobIds', '/admin/dead-letters/redrive', { jobIds: [] }],
    ['/payload', '/admin/dead-letters/job-1/redrive', { payload: 'x' }],
  ];

  it.each(CASES)('names %s at %s', async (path, url, body) => {
    const answer = await app.inject({ method: 'POST', url, body, headers });
    expect(answer.json<AnswerBody>()).toMatchObject({ status: 'fail', code: 'VALIDATION_FAILED' });
    expect([answer.statusCode, answer.json<AnswerBody>().errors.map((error) => error.path)]).toEqual([
      400,
      expect.arrayContaining([path]),
    ]);
    expect(sent).toEqual([]);
    expect(submissions.filter(({ check }) => !check)).toEqual([]); // only a time in the past is checked later
  });

  it.each([
    ...['/jobs?state=none', '/jobs?state=dead&state=dead', '/jobs?limit=0', '/jobs?cursor=x', '/files?limit=1001'],
    ...BAD_MOMENTS.flatMap((key) =>
      ['/jobs', '/files', '/admin/dead-letters'].map((url) => `${url}?cursor=${encodedCursor(key)}`),
    ),
    ...['song', 'album-1', 'song-', 'song-\n', `song-${'x'.repeat(700)}`].map(
      (key) => `/songs?cursor=${encodedCursor(key)}`,
    ),
    ...['', '1.5', '01', '1e3', '9'.repeat(10), '1 '].map((key) => `/jobs/job-1/items?cursor=${encodedCursor(key)}`),
    `/songs?cursor=${encodedCursor('song-1')}=`,
    `/songs?cursor=${Buffer.from('song-\u{1F3B5}\u{1F3B6}').toString('base64')}`,
    `/jobs/job-1/items?cursor=${encodedCursor('-1')}`,
    '/admin/dead-letters?limit=x',
  ])('%s is 400', async (url) => {
    expect((await app.inject({ url, headers })).statusCode).toBe(400);
  });

  it.each(['failedOnly=yes', 'failedOnly='])('retries nothing for %s', async (query) => {
    const url = `/jobs/job-1/retry?${query}`;
    expect((await app.inject({ method: 'POST', url, headers })).statusCode).toBe(400);
  });

  it.each(['x', '-1', '1.5', '007', '1e3', '2147483648', '9999999999', '1, 2', '0x1'])(
    'refuses an invalid Last-Event-ID: %s',
    async (id) => {
      const answer = await app.inject({ url: '/jobs/job-1/events', headers: { ...headers, 'last-event-id': id } });
      expect([answer.statusCode, answer.json<AnswerBody>().errors]).toMatchObject([400, [{ path: '/last-event-id' }]]);
    },
  );

  it('any cursor leads to a page or 400', async () => {
    const texts = fc.oneof(fc.string({ unit: anyCharacter }), fc.constantFrom(...BAD_MOMENTS), moments);
    const cursors = fc.oneof(texts.map(encodedCursor), fc.string(), fc.base64String());
    const lists = fc.constantFrom('/jobs', '/files', '/songs', '/admin/dead-letters');
    const ask = async (list: string, cursor: string) => {
      const { statusCode } = await app.inject({ url: `${list}?cursor=${encodeURIComponent(cursor)}`, headers });
      expect([200, 400]).toContain(statusCode);
    };
    await fc.assert(fc.asyncProperty(lists, cursors, ask), { numRuns: 500 });
  });
});
