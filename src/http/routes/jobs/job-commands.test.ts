import { afterAll, afterEach, describe, expect, it, jest } from '@jest/globals';
import { prepareOnce } from '../../../commands/command.ts';
import { AppError } from '../../../errors.ts';
import { encodeEvent, subjectOf } from '../../../events/codec.ts';
import { type AnswerBody, httpApp, noRates, type Substitutes } from '../../../../test/support/http-app.ts';
import { jobEvents } from '../../../../test/support/jobs.ts';
import { KEYS } from '../../../../test/support/keys.ts';
import { forge, now } from '../../../../test/support/tokens.ts';

/** For tests that substitute nothing: building an app takes 50 ms. */
const shared = httpApp();
const started: { close(): Promise<unknown> }[] = [];
afterAll(() => shared.app.close());
afterEach(async () => {
  jest.restoreAllMocks();
  await Promise.all(started.splice(0).map((app) => app.close()));
});

const claims = (sub: string, role: string) => ({ sub, role, aud: 'access', jti: sub, iat: now(), exp: now() + 60 });
const tokenOf = (sub: string, role = 'user') => forge(claims(sub, role), KEYS.ACCESS_TOKEN_KEY);

function start(substitutes?: Substitutes) {
  const made = substitutes === undefined ? shared : httpApp(substitutes);
  if (made === shared) for (const list of [made.sent, made.submissions]) list.length = 0;
  else started.push(made.app);
  const sender =
    (token: string) =>
    async (method: 'GET' | 'POST' | 'PATCH' | 'DELETE' | 'HEAD', url: string, body?: object, more = {}) =>
      made.app.inject({ method, url, body, headers: { authorization: `Bearer ${token}`, ...more } });
  return { ...made, as: sender, user: sender(tokenOf('user-1')), admin: sender(tokenOf('user-9', 'admin')) };
}

const mail = { to: 'chris@example.com', subject: 'Yes', body: 'No' };
const year = new Date().getUTCFullYear();
const ahead = `${year + 1}-01-31T09:30:00Z`;

describe('a job', () => {
  it('is accepted with the payload validated by its type, and has a Location', async () => {
    const { user, submissions } = start();
    const answer = await user('POST', '/jobs', { type: 'dummy', payload: { duration: 5 } });
    const { jobId } = answer.json<{ data: { jobId: string } }>().data;
    expect([answer.statusCode, answer.headers.location]).toEqual([202, `http://music.test/jobs/${jobId}`]);
    expect(submissions).toMatchObject([
      { type: { name: 'dummy' }, payload: { duration: 5, failures: 0 }, isAdmin: false },
    ]);
    expect(submissions[0]?.origin).toMatchObject({ actor: 'user-1', repeatable: false });
  });

  it.each([
    ['2.5 hours west', `${year + 1}-01-31T09:30:00-02:30`, `${year + 1}-01-31T12:00:00.000Z`],
    ['UTC', ahead, `${year + 1}-01-31T09:30:00.000Z`],
  ])('may run later, %s', async (_where, deliverAt, runAt) => {
    const { user, submissions } = start();
    expect((await user('POST', '/jobs', { type: 'dummy', deliverAt })).statusCode).toBe(202);
    expect(submissions[0]?.runAt?.toISOString()).toBe(runAt);
  });

  it('whose time has passed since gets the same answer when it is repeated', async () => {
    const accept = () => Promise.resolve({ jobId: 'job-1', recordId: 'r', version: 1, replayed: true });
    const { user } = start({ jobs: { accept } });
    const answer = await user('POST', '/jobs', { type: 'dummy', deliverAt: '2020-01-31T09:30:00Z' });
    expect([answer.statusCode, answer.headers['idempotency-replayed']]).toEqual([202, 'true']);
  });

  it('may repeat', async () => {
    const { user, submissions } = start();
    const repeat = { cron: '0 9 * * 1', timeZone: 'Asia/Jakarta' };
    expect((await user('POST', '/jobs', { type: 'dummy', repeat })).statusCode).toBe(202);
    expect(submissions[0]).toMatchObject({ repeat });
  });

  it.each([
    ['/jobs', { type: 'dummy' }],
    ['/messages', mail],
    ['/messages/batch', { items: [mail] }],
  ])('at %s may set attempts, backoff and priority', async (url, body) => {
    const { admin, submissions } = start();
    const handling = { attempts: 20, backoff: 'fixed', priority: 100 };
    expect((await admin('POST', url, { ...body, ...handling })).statusCode).toBe(202);
    expect((await admin('POST', url, body)).statusCode).toBe(202);
    expect(submissions[0]).toMatchObject({ handling });
    expect(submissions[0]?.payload).not.toHaveProperty('attempts');
    expect(submissions[1]?.handling).toEqual({});
  });

  it('is 429 when the account has too many', async () => {
    const accept = () => Promise.reject(new AppError('too-many', 'TOO_MANY_JOBS', 'You have 5 jobs.'));
    const answer = await start({ jobs: { accept } }).user('POST', '/jobs', { type: 'dummy' });
    expect([answer.statusCode, answer.json<AnswerBody>().code]).toEqual([429, 'TOO_MANY_JOBS']);
  });

  it.each([
    '/jobs/none',
    '/jobs/job-1%00',
    '/jobs/job-1',
    '/jobs/job-1/items',
    '/jobs/job-1/result',
    '/jobs/job-1/events',
  ])('that does not exist is 404 at %s', async (url) => {
    const answer = await start().user('GET', url);
    expect([answer.statusCode, answer.json<AnswerBody>().code]).toEqual([404, 'JOB_NOT_FOUND']);
  });
});

const row = {
  id: 'job-1',
  version: 5,
  owner_id: 'user-1',
  type: 'dummy',
  state: 'succeeded',
  done: 1,
  total: 1,
  failed: 0,
  created_at: new Date('2026-01-01T00:00:00Z'),
  run_at: null,
  finished_at: new Date('2026-01-01T00:00:01Z'),
  repeat_cron: null,
  repeat_zone: null,
  parent_id: null,
  replaces: null,
  dropped: false,
  result: '{}',
  file_id: null,
  file_name: null,
  file_size: null,
  attempts: [],
};

/** What the write side does with a new command. */
const outcome: Substitutes['outcome'] = async ({ context }) => {
  await context?.(0);
  return { recordId: 'r', version: 1, replayed: false };
};

const requested = {
  type: subjectOf('JobRequested'),
  value: encodeEvent(
    jobEvents.requested({ attempts: 9, backoff: { strategy: 'fixed', firstMs: 1, maxMs: 2 }, priority: -3 }),
  ),
};

const rights = (isAdmin: boolean, isLocked = false) => [{ id: 'user-1', isAdmin, isLocked }];

describe('an existing job', () => {
  it.each([
    ['when its type is open to all accounts', 'dummy', rights(false), 202, undefined],
    ['while its owner is an admin', 'email', rights(true), 202, undefined],
    ['unless its owner is no longer an admin', 'email', rights(false), 403, 'OWNER_NO_ADMIN'],
    ['unless its owner is locked', 'dummy', rights(false, true), 403, 'OWNER_LOCKED'],
  ])('can be retried, %s', async (_, type, owner, status, code) => {
    const rows = { 'find-job': [{ ...row, type, state: 'dead' }], 'rights-of': owner };
    const { user, admin } = start({ outcome, rows });
    for (const send of [user, admin]) {
      const answer = await send('POST', '/jobs/job-1/retry');
      expect([answer.statusCode, answer.json<Partial<AnswerBody>>().code]).toEqual([status, code]);
    }
  });

  it('repeats within the limits of its owner, also when an admin changes it', async () => {
    const repeating = { repeat_cron: '0 9 * * *', repeat_zone: 'UTC', repeat_missed: 'skip', repeat_count: 1_000 };
    const job = { ...row, ...repeating, repeat_until: new Date(), state: 'scheduled' };
    const contexts: unknown[] = [];
    const keep: Substitutes['outcome'] = async ({ context }) => {
      contexts.push(await context?.(0));
      return { recordId: 'r', version: 1, replayed: false };
    };
    const change = async (owner: object[], cron: string) => {
      const { admin } = start({ outcome: keep, rows: { 'find-job': [job], 'rights-of': owner } });
      const answer = await admin('PATCH', '/jobs/job-1', { repeat: { cron } });
      return [answer.statusCode, answer.json<Partial<AnswerBody>>().code];
    };
    expect(await change(rights(false), '* * * * * *')).toEqual([400, 'REPEATS_TOO_OFTEN']);
    expect(await change(rights(false), '0 10 * * *')).toEqual([200, undefined]);
    expect(await change(rights(true), '* * * * * *')).toEqual([200, undefined]);
    expect(contexts).toMatchObject([
      { repeat: { count: 1_000, until: expect.any(String) } },
      { repeat: { count: null, until: null } },
    ]);
  });

  it('is not sent to an account whose role changed while the stream began, and is not cached', async () => {
    let judged = 0;
    const account = { id: 'user-1', role: 'user' } as const;
    const access: Substitutes['access'] = {
      isCurrent: () => true,
      judge: () => (judged++ === 0 ? account : undefined),
      onChange: () => () => undefined,
      recheck: () => Promise.resolve(),
    };
    const { user } = start({ access, rows: { 'find-job': [{ ...row, state: 'running', finished_at: null }] } });
    const answer = await user('GET', '/jobs/job-1/events');
    expect([answer.statusCode, answer.body]).toEqual([200, 'retry: 2000\n\n']);
    expect(answer.headers['cache-control']).toBe('private, no-cache, no-transform');
  });

  it.each(['', '/items', '/events'])('%s is visible to its owner and admins, 404 to others', async (part) => {
    const { user, admin, as } = start({ rows: { 'find-job': [row] } });
    const last = { 'last-event-id': '5' };
    const statuses = [user, admin, as(tokenOf('user-2')), as(tokenOf('user-2', 'analytics'))].map(async (send) => {
      const { statusCode } = await send('GET', `/jobs/job-1${part}`, undefined, last);
      return statusCode;
    });
    const well = part === '/events' ? 204 : 200;
    expect(await Promise.all(statuses)).toEqual([well, well, 404, 404]);
  });

  it('can be followed 50 times at once by one account, and no more', async () => {
    const { user, admin } = start({ rows: { 'find-job': [{ ...row, state: 'running' }] } });
    for (let n = 0; n < 50; n++) void user('GET', '/jobs/job-1/events');
    const refused = await user('GET', '/jobs/job-1/events');
    expect([refused.statusCode, refused.json<AnswerBody>().code]).toEqual([503, 'TOO_MANY_AT_ONCE']);
    expect((await admin('GET', '/jobs/job-1')).statusCode).toBe(200);
  });

  it('has an ETag, and is not sent again to a client that has it', async () => {
    const { user } = start({ rows: { 'find-job': [row] } });
    const first = await user('GET', '/jobs/job-1');
    expect([first.statusCode, first.headers['x-data-source']]).toEqual([200, 'database']);
    expect(first.headers.etag).toMatch(/^"5-/);
    const again = await user('GET', '/jobs/job-1', undefined, { 'if-none-match': first.headers.etag });
    expect(again.statusCode).toBe(304);
  });

  it.each([
    ['has not succeeded', { state: 'running' }, [], 409, 'RESULT_NOT_READY'],
    ['is dead', { state: 'dead' }, [], 409, 'RESULT_NOT_READY'],
    ['makes no file', {}, [], 404, 'NO_RESULT_FILE'],
  ] as const)('that %s has no result', async (_what, more, files, status, code) => {
    const rows = { 'find-job': [{ ...row, ...more }], 'file-of-job': [...files] };
    const answer = await start({ rows }).user('GET', '/jobs/job-1/result');
    expect([answer.statusCode, answer.json<AnswerBody>().code]).toEqual([status, code]);
  });

  it('is not retried while its owner has too many jobs, also by an admin', async () => {
    const full = new AppError('too-many', 'TOO_MANY_JOBS', 'as many as there may be');
    const asked: unknown[] = [];
    const outcome: Substitutes['outcome'] = async ({ command }) => {
      await prepareOnce(command)();
      return { recordId: 'r', version: 6, replayed: false };
    };
    const mustHaveRoom = (...given: unknown[]) => Promise.reject((asked.push(given), full));
    const { user, admin } = start({ outcome, jobs: { mustHaveRoom }, rows: { 'find-job': [row] } });
    for (const by of [user, admin]) {
      const answer = await by('POST', '/jobs/job-1/retry');
      expect([answer.statusCode, answer.json<AnswerBody>().code]).toEqual([429, 'TOO_MANY_JOBS']);
    }
    expect(asked).toEqual(Array(2).fill(['user-1', { jobId: 'job-1', version: 5 }]));
  });

  it('a retry with another query is another command', async () => {
    const { user, sent } = start({ rows: { 'find-job': [row] } });
    const key = { 'idempotency-key': 'k' };
    await user('POST', '/jobs/job-1/retry', undefined, key);
    await user('POST', '/jobs/job-1/retry?failedOnly=true', undefined, key);
    const hashes = sent.map(({ origin }) => origin.bodyHash);
    expect(new Set(hashes).size).toBe(2);
    const commands = await Promise.all(sent.map(({ command }) => prepareOnce(command)()));
    expect(commands).toMatchObject([{ failedOnly: false }, { failedOnly: true }]);
  });
});

describe('a file', () => {
  const file = {
    id: 'job-1',
    owner_id: 'user-1',
    file_id: 'file-1',
    file_stored: 'exports/job-1.json',
    file_kind: 'export',
    file_name: 'a.json',
    file_media_type: 'application/json',
    file_size: 2,
    finished_at: new Date('2026-01-01T00:00:00Z'),
  };
  const rows = { 'find-job': [row], 'file-of-job': [file], 'find-files': [file], 'files-of': [file] };
  const close = () => Promise.resolve();
  const open = () => Promise.resolve({ size: 2, close, read: () => Promise.reject(new Error('is not read')) });
  const put = () => Promise.resolve();

  it('that is stored has a link, until it expires', async () => {
    jest.spyOn(Date, 'now').mockReturnValue(1_900_000_000_999);
    const token = forge({ ...claims('user-1', 'user'), exp: 1_900_001_000 }, KEYS.ACCESS_TOKEN_KEY);
    const answer = await start({ rows, files: { put, open } }).as(token)('GET', '/jobs/job-1/result');
    const { url, expiresAt } = answer.json<{ data: { url: string; expiresAt: string } }>().data;
    expect(url).toMatch(/^http:\/\/music\.test\/files\/file-1\/content\?owner=user-1&expires=1900000900&signature=/);
    expect(expiresAt).toBe(new Date(1_900_000_900_000).toISOString());
  });

  it('is linked by its provider if the provider supports links', async () => {
    const link = (stored: string) => Promise.resolve(`https://bucket.test/${stored}?signed`);
    const answer = await start({ rows, files: { put, open, link } }).user('GET', '/jobs/job-1/result');
    expect(answer.json()).toMatchObject({ data: { url: 'https://bucket.test/exports/job-1.json?signed' } });
  });

  it('that was deleted is 410', async () => {
    const answer = await start({ rows }).user('GET', '/jobs/job-1/result');
    expect([answer.statusCode, answer.json<AnswerBody>().code]).toEqual([410, 'FILE_GONE']);
  });

  it('is 503 while the store is unreachable', async () => {
    const files = { put, open: () => Promise.reject(new Error('no disk')) };
    const answer = await start({ rows, files }).user('GET', '/jobs/job-1/result');
    expect([answer.statusCode, answer.json<AnswerBody>().code]).toEqual([503, 'FILES_UNAVAILABLE']);
  });

  it.each(['', '?owner=user-1&expires=1900000900&signature=x', '?owner=user-1&owner=user-2'])(
    'is 403 by the link %j',
    async (query) => {
      const { app } = start({ rows, files: { put, open } });
      const answer = await app.inject({ url: `/files/file-1/content${query}` });
      expect([answer.statusCode, answer.json<AnswerBody>().code]).toEqual([403, 'LINK_NOT_VALID']);
    },
  );

  it('of another account is reported like a missing one', async () => {
    const { as } = start({ rows, files: { put, open } });
    const ask = async (token: string) =>
      (await as(token)('POST', '/downloads/check', { fileIds: ['file-1', 'file-2'] })).json<{ data: object }>().data;
    const missing = (fileId: string) => ({ fileId, available: false, reason: 'NOT_FOUND' });
    expect(await ask(tokenOf('user-1'))).toEqual({
      files: [{ fileId: 'file-1', available: true, size: 2 }, missing('file-2')],
    });
    expect(await ask(tokenOf('user-2'))).toEqual({ files: [missing('file-1'), missing('file-2')] });
    expect(await ask(tokenOf('user-9', 'admin'))).toMatchObject({ files: [{ available: true }, { available: false }] });
  });

  it.each([
    [[70_000], ['70000']],
    [
      [1, 'file-1', 2],
      ['1', 'file-1', '2'],
    ],
    [
      [0, -1],
      ['0', '-1'],
    ],
    [['file-1'], ['file-1']],
  ])('%j of the earlier service are accepted as ids', async (asked, ids) => {
    const { user, submissions } = start({ rows, files: { put, open } });
    const { data } = (await user('POST', '/v1/download/check', { file_ids: asked })).json<{
      data: { files: object[] };
    }>();
    expect(data.files).toMatchObject(ids.map((fileId) => ({ fileId, available: fileId === 'file-1' })));
    expect((await user('POST', '/v1/download/initiate', { file_ids: asked })).statusCode).toBe(202);
    expect(submissions).toMatchObject([{ payload: { fileIds: ids } }]);
  });

  it('is listed without internal fields', async () => {
    const answer = await start({ rows }).user('GET', '/files');
    const shown = {
      fileId: 'file-1',
      kind: 'export',
      name: 'a.json',
      size: 2,
      createdAt: '2026-01-01T00:00:00.000Z',
      jobId: 'job-1',
    };
    expect(answer.json()).toEqual({ status: 'success', data: { files: [shown], nextCursor: null } });
  });
});

describe('a route that starts jobs', () => {
  const few = { ...noRates, jobs: { count: 2, seconds: 60 } };

  it('is rate limited per account, together with the others', async () => {
    const { user, as } = start({ rates: few });
    const first = await user('POST', '/jobs', { type: 'dummy' });
    expect(first.headers['ratelimit-policy']).toBe('"jobs";q=2;w=60');
    expect((await user('POST', '/jobs/job-1/retry')).headers.ratelimit).toBe('"jobs";r=0;t=60');
    const urls = ['/jobs', '/jobs/job-1/retry', '/messages', '/messages/batch', '/downloads', '/v1/download/initiate'];
    for (const url of [
      ...urls,
      '/export/playlists/playlist-1',
      '/admin/dead-letters/job-1/redrive',
      '/admin/dead-letters/redrive',
    ]) {
      expect([url, (await user('POST', url, {})).statusCode]).toEqual([url, 429]);
    }
    expect((await as(tokenOf('user-2'))('POST', '/jobs', { type: 'dummy' })).statusCode).toBe(202);
    expect((await user('GET', '/jobs')).statusCode).toBe(200);
  });

  it('accepts bodies up to the size of a batch', async () => {
    const { admin } = start();
    const long = { ...mail, body: 'x'.repeat(49_000) };
    const sizes = [
      await admin('POST', '/messages/batch', { items: [long, long] }),
      await admin('POST', '/messages', { ...mail, body: 'x'.repeat(70_000) }),
    ];
    expect(sizes.map(({ statusCode }) => statusCode)).toEqual([202, 400]);
    const tooLarge = await admin('POST', '/messages/batch', { items: Array.from({ length: 5 }, () => long) });
    expect(tooLarge.statusCode).toBe(413);
  });
});

describe('a route for admins', () => {
  it.each(['/admin/providers', '/admin/dead-letters', '/admin/dead-letters/job-1'])(
    '%s is 403 for others, with the role and the command that grants it',
    async (url) => {
      const { app, user } = start({ rows: { 'find-job': [{ ...row, state: 'dead' }] } });
      expect((await app.inject({ url })).statusCode).toBe(401);
      const refused = await user('GET', url);
      expect([refused.statusCode, refused.json<{ message: string }>().message]).toEqual([
        403,
        'Only accounts with the role admin may do this. An operator grants it with: openmusic accounts grant-admin <username>',
      ]);
    },
  );

  it('shows the breaker of each provider', async () => {
    const opened_at = new Date('2026-01-01T00:00:00Z');
    const open_until = new Date('2026-01-01T00:00:30Z');
    const open = { name: 'mail:smtp', is_open: true, open_until, opened_at, reason: 'refused' };
    const answer = await start({ rows: { breakers: [open, { ...open, name: 'files:disk', is_open: false }] } }).admin(
      'GET',
      '/admin/providers',
    );
    const times = { openedAt: opened_at.toISOString(), openUntil: open_until.toISOString(), reason: 'refused' };
    expect(answer.json<{ data: object }>().data).toEqual({
      providers: [
        { name: 'smtp', kind: 'mail', standard: false, breaker: { state: 'open', ...times } },
        { name: 'file', kind: 'mail', standard: true, breaker: { state: 'closed' } },
        { name: 'disk', kind: 'files', standard: true, breaker: { state: 'half-open', ...times } },
      ],
    });
  });

  it('a dead letter with a corrected payload becomes a new job of the same owner and leaves the list', async () => {
    const rows = { 'find-job': [{ ...row, state: 'dead', result: null }], 'first-event': [requested] };
    const { admin, submissions, sent } = start({ rows });
    const answer = await admin('POST', '/admin/dead-letters/job-1/redrive', { payload: { duration: 7 } });
    expect(answer.statusCode).toBe(202);
    expect(submissions).toMatchObject([
      {
        ownerId: 'user-1',
        replaces: 'job-1',
        payload: { duration: 7 },
        origin: { actor: 'user-9' },
        isAdmin: true,
        handling: { attempts: 9, backoff: 'fixed', priority: -3 },
        ownerIsAdmin: false,
      },
    ]);
    expect(sent).toMatchObject([{ stream: 'job-1', command: { type: 'DropDeadLetter', actor: 'user-9' } }]);
    const wrong = await admin('POST', '/admin/dead-letters/job-1/redrive', { payload: { duration: 'x' } });
    expect(wrong.json<AnswerBody>().errors[0]?.path).toBe('/payload/duration');
  });

  it.each([
    ['while its owner is an admin', 'email', rights(true), undefined],
    ['unless its owner is no longer an admin', 'email', rights(false), 'OWNER_NO_ADMIN'],
    ['unless its owner is locked', 'dummy', rights(false, true), 'OWNER_LOCKED'],
  ])('a dead letter can be redriven, %s', async (_, type, owner, code) => {
    const rows = { 'find-job': [{ ...row, type, state: 'dead' }], 'rights-of': owner, 'first-event': [requested] };
    const { admin, submissions } = start({ outcome, rows });
    const payload = type === 'email' ? mail : {};
    for (const body of [undefined, { payload }]) {
      const answer = await admin('POST', '/admin/dead-letters/job-1/redrive', body);
      expect([answer.statusCode, answer.json<Partial<AnswerBody>>().code]).toEqual([code ? 403 : 202, code]);
    }
    if (!code) expect(submissions).toMatchObject([{ ownerIsAdmin: true }]);
    const many = await admin('POST', '/admin/dead-letters/redrive', { jobIds: ['job-1'] });
    expect(many.json()).toMatchObject({ data: { outcomes: [code ? { redriven: false, code } : { redriven: true }] } });
  });

  it.each([{ state: 'succeeded' }, { state: 'cancelled' }, { state: 'dead', dropped: true }])(
    '%j is not a dead letter',
    async (more) => {
      const rows = { 'find-job': [{ ...row, ...more }] };
      const { admin } = start({ rows, outcome: ({ context }) => context?.(0) as never });
      const asked = [
        await admin('GET', '/admin/dead-letters/job-1'),
        await admin('POST', '/admin/dead-letters/job-1/redrive'),
        await admin('POST', '/admin/dead-letters/job-1/redrive', { payload: {} }),
      ];
      expect(asked.map((answer) => answer.json<AnswerBody>().code)).toEqual(Array(3).fill('DEAD_LETTER_NOT_FOUND'));
    },
  );

  it('each of many redrives has its own outcome and its own command id', async () => {
    const outcome: Substitutes['outcome'] = ({ stream }) => {
      if (stream === 'job-2') throw new AppError('rejected', 'JOB_NOT_RETRIABLE', 'Not this one.');
      return { recordId: 'r', version: 1, replayed: false };
    };
    const { admin, sent } = start({ outcome });
    const answer = await admin('POST', '/admin/dead-letters/redrive', { jobIds: ['job-1', 'job-2', 'x'] });
    expect([answer.statusCode, answer.json<{ data: object }>().data]).toMatchObject([
      202,
      {
        outcomes: [
          { jobId: 'job-1', redriven: true },
          { jobId: 'job-2', redriven: false, code: 'JOB_NOT_RETRIABLE' },
          { jobId: 'x', redriven: false, code: 'JOB_NOT_FOUND' },
        ],
      },
    ]);
    expect(new Set(sent.map(({ origin }) => origin.commandId)).size).toBe(2);
  });
});
