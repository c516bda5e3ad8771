import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { BACKOFF, type BareQueue, openQueue, putInQueue, type QueueRow } from '../../test/support/jobs.ts';
import { createDatabase, namespace, type TestDatabase } from '../../test/support/servers/index.ts';
import { migrate } from '../postgres/migrate.ts';
import { createLeases } from './leases.ts';

const LEASE_MS = 60_000;

let server: TestDatabase;
let queue: BareQueue;

beforeAll(async () => {
  server = await createDatabase();
  const name = namespace();
  await migrate({ connection: server.connection, namespace: name });
  queue = await openQueue(server.connection, { namespace: name });
});
beforeEach(() => sql('TRUNCATE job_queue, job_leases, job_payloads, job_items'));
afterAll(async () => {
  await queue.close();
  await server.drop();
});

const sql = (text: string, values: unknown[] = []) => queue.database.query<Record<string, unknown>>({ text, values });
const put = (...rows: readonly QueueRow[]) => putInQueue(queue.database, ...rows);
const worker = (leaseMs = LEASE_MS) => createLeases(queue.database, randomUUID(), leaseMs);
const idsOf = (jobs: readonly { jobId: string }[]) => jobs.map(({ jobId }) => jobId);
const expire = () => sql(`UPDATE job_leases SET expires_at = now() - interval '1 ms'`);
const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);

/** Whether all that Postgres writes while this runs is on the disk at its end, although commits of the queue need not wait for it. */
async function isDurable(write: () => Promise<unknown>): Promise<unknown> {
  await sql('SET synchronous_commit = off');
  const [before] = await sql('SELECT pg_current_wal_insert_lsn() AS lsn');
  await write();
  const [after] = await sql('SELECT pg_current_wal_flush_lsn() > $1::pg_lsn AS flushed', [before!.lsn]);
  return after!.flushed;
}

describe('durability', () => {
  it('a lease outlives a crash of Postgres, also where the queue commits asynchronously', async () => {
    const leases = worker();
    const durable: unknown[] = [];
    for (const number of numbers(20)) {
      await put({ job_id: `job-${number}` });
      durable.push(await isDurable(() => leases.take(['dummy'], 1)));
    }
    expect(durable).toEqual(numbers(20).map(() => true));
  });

  it('so does its renewal', async () => {
    const leases = worker();
    await put({ job_id: 'job-1' });
    await leases.take(['dummy'], 1);
    const durable: unknown[] = [];
    while (durable.length < 20) durable.push(await isDurable(() => leases.renew(['job-1'])));
    expect(durable).toEqual(numbers(20).map(() => true));
  });
});

describe('take', () => {
  it('takes due jobs in the order of their times, of the given lanes only', async () => {
    await put(
      { job_id: 'job-3', inMs: -10 },
      { job_id: 'job-1', inMs: -30, lane: 'email:smtp' },
      { job_id: 'job-2', inMs: -20 },
      { job_id: 'job-4', inMs: -40, lane: 'archive' },
      { job_id: 'job-5', inMs: 60_000 },
      { job_id: 'job-6', lane: 'archive', state: 'running' },
    );
    expect(idsOf(await worker().take(['dummy', 'email:smtp'], 2))).toEqual(['job-1', 'job-2']);
    expect(idsOf(await worker().take(['dummy', 'email:smtp'], 10))).toEqual(['job-3']);
    expect(idsOf(await worker().take(['dummy', 'email:smtp'], 10))).toEqual([]);
  });

  it('returns all fields of a job', async () => {
    await sql(`INSERT INTO job_payloads (id, payload) VALUES ('job-7', '{"to":"a@example.com"}')`);
    await put(
      { job_id: 'job-7', payload_id: 'job-7', version: 4, attempt: 2, counted: 1 },
      { job_id: 'job-8', payload_id: 'job-gone', state: 'running' },
    );
    const [one, two] = await worker().take(['dummy'], 2);
    expect(one).toEqual({
      jobId: 'job-7',
      version: 4,
      lane: 'dummy',
      jobType: 'dummy',
      ownerId: 'user-1',
      parameters: '{}',
      payloadId: 'job-7',
      payload: { to: 'a@example.com' },
      provider: null,
      total: 1,
      allowed: 3,
      runAt: expect.any(Date),
      repeatCron: null,
      repeatZone: null,
      abandoned: false,
      repeatMissed: null,
      repeatUntil: null,
      repeatCount: null,
      occurred: 0,
      attempt: 2,
      counted: 1,
      retriedThrough: 0,
      backoff: BACKOFF,
      priority: 0,
    });
    expect(two).toMatchObject({ payloadId: 'job-gone', payload: null, abandoned: true });
  });

  it('gives no job to two workers that take at the same time', async () => {
    await put(...numbers(300).map((index) => ({ job_id: `job-${index}` })));
    const taken = await Promise.all(numbers(120).map(() => worker().take(['dummy'], 5)));
    const ids = taken.flatMap(idsOf);
    expect(new Set(ids).size).toBe(ids.length);
    for (let some = 1; some > 0;) {
      const more = idsOf(await worker().take(['dummy'], 50));
      ids.push(...more);
      some = more.length;
    }
    expect(new Set(ids).size).toBe(300);
    expect(ids).toHaveLength(300);
  });

  it.each(['waiting', 'running'] as const)(
    'gives a %s job whose lease has run out to one other worker',
    async (state) => {
      await put({ job_id: 'job-1', state });
      const first = worker();
      expect(await first.take(['dummy'], 1)).toMatchObject([{ abandoned: state === 'running' }]);
      await expire();
      const taken = await Promise.all(numbers(10).map(() => worker().take(['dummy'], 1)));
      expect(taken.flat()).toMatchObject([{ jobId: 'job-1', abandoned: state === 'running' }]);
      expect((await first.renew(['job-1'])).has('job-1')).toBe(false);
    },
  );

  it('gives a running job without a lease at once, also when its time has not come', async () => {
    await put({ job_id: 'job-1', state: 'running', inMs: 60_000 });
    expect(await worker().take(['dummy'], 1, { lost: false })).toEqual([]);
    expect(await worker().take(['dummy'], 1)).toHaveLength(1);
  });

  it('passes over a locked row', async () => {
    await put({ job_id: 'job-1', inMs: -2 }, { job_id: 'job-2', inMs: -1 });
    await queue.database.use(async (projector) => {
      await projector.query('BEGIN');
      await projector.query(`UPDATE job_queue SET version = 2 WHERE job_id = 'job-1'`);
      expect(idsOf(await worker().take(['dummy'], 2))).toEqual(['job-2']);
      await projector.query('ROLLBACK');
    });
    expect(idsOf(await worker().take(['dummy'], 2))).toEqual(['job-1']);
  });
});

describe('take of a log that was taken over', () => {
  it('leaves running jobs until their attempts must have ended, and takes all others', async () => {
    await put({ job_id: 'job-running', state: 'running' }, { job_id: 'job-due' });
    const takeOverFrom = new Date(Date.now() + 3_600_000);
    const leases = createLeases(queue.database, randomUUID(), LEASE_MS, takeOverFrom);
    expect(idsOf(await leases.take(['dummy'], 10))).toEqual(['job-due']);
    const later = createLeases(queue.database, randomUUID(), LEASE_MS, new Date(Date.now() - 1_000));
    expect(idsOf(await later.take(['dummy'], 10))).toEqual(['job-running']);
  });
});

describe('renew', () => {
  it('returns jobs that are still leased, with their attempt, and no attempt of an ended job', async () => {
    await put(
      { job_id: 'job-waiting', attempt: 2 },
      { job_id: 'job-running', attempt: 2, state: 'running' },
      { job_id: 'job-ended' },
      { job_id: 'job-lost' },
    );
    const [one, other] = [worker(), worker()];
    const ids = idsOf(await one.take(['dummy'], 10));
    await sql(`DELETE FROM job_queue WHERE job_id = 'job-ended'`);
    await sql(`UPDATE job_leases SET expires_at = now() WHERE job_id = 'job-lost'`);
    await other.take(['dummy'], 10);
    expect(await one.renew([...ids, 'job-without-lease'])).toEqual(
      new Map([['job-waiting', 3], ['job-running', 2], ['job-ended', undefined]]), // prettier-ignore
    );
    expect(await one.renew([])).toEqual(new Map());
  });

  it('extends a lease to its whole time, also when it comes late', async () => {
    await put({ job_id: 'job-1' });
    const one = worker();
    await one.take(['dummy'], 1);
    await expire();
    await one.renew(['job-1']);
    expect(await worker().take(['dummy'], 1)).toEqual([]);
    const [{ ms }] = (await sql(
      `SELECT extract(epoch FROM expires_at - now())::float8 * 1000 AS ms FROM job_leases`,
    )) as [{ ms: number }];
    expect(ms).toBeGreaterThan(LEASE_MS / 2);
  });
});

describe('release', () => {
  it('waits until the queue has come to the version, or has the job no longer', async () => {
    await put({ job_id: 'job-1', version: 3 }, { job_id: 'job-2', version: 3 });
    const one = worker();
    await one.take(['dummy'], 2);
    const both = [
      { jobId: 'job-1', version: 4 },
      { jobId: 'job-2', version: 5 },
    ];
    expect(await one.release(both)).toEqual([]);
    await sql(`UPDATE job_queue SET version = 4`);
    expect(await one.release(both)).toEqual(['job-1']);
    await sql(`DELETE FROM job_queue WHERE job_id = 'job-2'`);
    expect(await one.release(both.slice(1))).toEqual(['job-2']);
    expect(await sql('SELECT FROM job_leases')).toEqual([]);
  });

  it('returns jobs that another worker has leased, and leaves their leases', async () => {
    await put({ job_id: 'job-1' });
    const [one, other] = [worker(), worker()];
    await one.take(['dummy'], 1);
    await expire();
    await other.take(['dummy'], 1);
    const jobs = [
      { jobId: 'job-1', version: 9 },
      { jobId: 'job-without-lease', version: 9 },
    ];
    expect((await one.release(jobs)).sort()).toEqual(['job-1', 'job-without-lease']);
    expect((await other.renew(['job-1'])).has('job-1')).toBe(true);
  });
});

describe('comeDue', () => {
  it('returns the time until the next job is due', async () => {
    const leases = worker();
    expect(await leases.comeDue()).toBeUndefined();
    await put(
      { job_id: 'job-1', inMs: 60_000 },
      { job_id: 'job-2', inMs: 30_000, lane: 'archive' },
      { job_id: 'job-3' },
    );
    const ms = await leases.comeDue();
    expect(ms).toBeGreaterThan(29_000);
    expect(ms).toBeLessThanOrEqual(30_000);
  });

  it('makes jobs due whose time has come; before that they are not taken', async () => {
    await put({ job_id: 'job-1', inMs: 60_000 }, { job_id: 'job-2', inMs: 60_000 });
    await sql(`UPDATE job_queue SET run_at = now() WHERE job_id = 'job-2'`);
    const leases = worker();
    expect(await leases.take(['dummy'], 2)).toEqual([]);
    expect(await leases.comeDue()).toBe(0);
    expect(await leases.comeDue()).toBeGreaterThan(0);
    expect(idsOf(await leases.take(['dummy'], 2))).toEqual(['job-2']);
  });
});

describe('take from several accounts', () => {
  const jobsOf = (owner_id: string, count: number) =>
    numbers(count).map((index) => ({ job_id: `job-${owner_id}-${index}`, owner_id, inMs: index - 10_000 }));
  const ownersOf = (jobs: readonly { ownerId: string }[]) => jobs.map(({ ownerId }) => ownerId);

  it('takes accounts in turn, and goes on after the one that was served last', async () => {
    await put(...jobsOf('a', 50), ...jobsOf('b', 2), ...jobsOf('c', 2), ...jobsOf('d', 2));
    const leases = worker();
    expect(ownersOf(await leases.take(['dummy'], 3))).toEqual(['a', 'b', 'c']);
    expect(ownersOf(await leases.take(['dummy'], 3))).toEqual(['d', 'a', 'b']);
    expect(ownersOf(await leases.take(['dummy'], 4))).toEqual(['c', 'd', 'a', 'a']);
  });

  it('passes over an account that holds its share while others have due jobs', async () => {
    await put(...jobsOf('a', 50), ...jobsOf('b', 1));
    const leases = worker();
    expect(ownersOf(await leases.take(['dummy'], 1, { share: 4, held: new Map([['a', 4]]) }))).toEqual(['b']);
  });

  it('gives a single account more than its share, but not the last free place', async () => {
    await put(...jobsOf('a', 50));
    expect(await worker().take(['dummy'], 8, { share: 4 })).toHaveLength(7);
    expect(await worker().take(['dummy'], 1, { share: 4, held: new Map([['a', 7]]) })).toEqual([]);
    expect(await worker().take(['dummy'], 1, { share: 1 })).toHaveLength(1);
  });

  it('serves accounts with the fewest places first, in all lanes', async () => {
    await put(...jobsOf('a', 5), { job_id: 'job-b', owner_id: 'b', lane: 'archive' });
    const held = new Map([['a', 1]]);
    expect(ownersOf(await worker().take(['dummy', 'archive'], 2, { share: 4, held }))).toEqual(['b', 'a']);
  });

  it('orders jobs of one account by priority, and then by due time', async () => {
    await put(
      { job_id: 'job-a1', owner_id: 'a', inMs: -50_000, priority: -1 },
      { job_id: 'job-a2', owner_id: 'a', inMs: -20_000 },
      { job_id: 'job-a3', owner_id: 'a', inMs: -10_000, priority: 100 },
      { job_id: 'job-a4', owner_id: 'a', inMs: -40_000 },
      { job_id: 'job-b1', owner_id: 'b', inMs: -1, priority: -100 },
    );
    const leases = worker();
    expect(idsOf(await leases.take(['dummy'], 2))).toEqual(['job-a3', 'job-b1']);
    expect(idsOf(await leases.take(['dummy'], 10))).toEqual(['job-a4', 'job-a2', 'job-a1']);
  });

  it('orders by priority over several lanes, and for jobs of lost workers', async () => {
    await put(
      { job_id: 'job-1', inMs: -50_000, lane: 'archive' },
      { job_id: 'job-2', inMs: -10_000, priority: 1 },
      { job_id: 'job-3', inMs: -90_000, state: 'running', priority: -5 },
      { job_id: 'job-4', inMs: -1_000, lane: 'archive', priority: 7 },
    );
    expect(idsOf(await worker().take(['dummy', 'archive'], 10))).toEqual(['job-4', 'job-2', 'job-1', 'job-3']);
  });

  it('gives an account no more places for high priorities', async () => {
    await put(
      ...jobsOf('a', 10).map((row) => ({ ...row, priority: 100 })),
      ...jobsOf('b', 2).map((row) => ({ ...row, priority: -100 })),
    );
    expect(ownersOf(await worker().take(['dummy'], 4, { share: 4 }))).toEqual(['a', 'b', 'a', 'b']);
  });

  it('finds the one account with a free job among those whose jobs are all leased', async () => {
    await put(...numbers(40).map((index) => ({ job_id: `job-${index}`, owner_id: `a${index + 10}` })));
    expect(await worker().take(['dummy'], 39)).toHaveLength(39);
    expect(idsOf(await worker().take(['dummy'], 2))).toEqual(['job-39']);
  });
});

describe('the job of a half-open lane', () => {
  const lane = 'email:smtp';
  const otherDomainThan = 'bad.example';

  /** Jobs with one mail each, in this order. */
  async function mails(...addresses: readonly object[]): Promise<void> {
    for (const [index, payload] of addresses.entries()) {
      const id = `job-${index}-${randomUUID()}`;
      await sql('INSERT INTO job_payloads (id, payload) VALUES ($1, $2)', [id, payload]);
      await put({ job_id: `job-${index}`, payload_id: id, lane, inMs: index - 1_000 });
    }
  }
  const taken = async () => idsOf(await worker().take([lane], 1, { otherDomainThan }));

  it('has a mail to another domain than the failed one, also when others wait longer', async () => {
    await mails({ to: 'a@bad.example' }, { to: 'b@Bad.Example' }, { to: 'c@good.example' }, { to: 'd@good.example' });
    expect(await taken()).toEqual(['job-2']);
    expect(await taken()).toEqual(['job-3']);
  });

  it('is any job when all mails go to that domain', async () => {
    await mails({ to: 'a@bad.example' }, { to: 'b@bad.example' });
    expect(await taken()).toEqual(['job-0']);
  });

  it('may be an export', async () => {
    await mails({ targetEmail: 'a@bad.example' }, { targetEmail: 'b@good.example' });
    expect(await taken()).toEqual(['job-1']);
  });

  it('may be a batch with such a mail that is due', async () => {
    await mails({}, {}, {});
    const rows = await sql('SELECT job_id, payload_id FROM job_queue ORDER BY job_id');
    const [bad, late, good] = rows.map(({ payload_id }) => payload_id);
    await sql(
      `INSERT INTO job_items (payload_id, item, payload, next_at) VALUES
        ($1, 0, '{"to":"a@bad.example"}', '-infinity'), ($2, 0, '{"to":"a@good.example"}', now() + interval '1 hour'),
        ($3, 0, '{"to":"a@bad.example"}', '-infinity'), ($3, 1, '{"to":"b@good.example"}', '-infinity')`,
      [bad, late, good],
    );
    expect(await taken()).toEqual(['job-2']);
  });
});

interface Plan {
  readonly 'Node Type': string;
  readonly 'Index Name'?: string;
  readonly 'Relation Name'?: string;
  readonly Plans?: readonly Plan[];
}
const nodesOf = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];

describe('with 100,000 waiting jobs', () => {
  beforeEach(async () => {
    await sql(`INSERT INTO job_queue (job_id, version, lane, job_type, owner_id, parameters, total, max_attempts,
        priority, backoff, backoff_first_ms, backoff_max_ms, run_at, occurred, state, due, attempt, counted, redo_through)
      SELECT 'job-' || n, 1, (ARRAY['dummy', 'email:smtp', 'archive'])[n % 3 + 1], 'dummy', 'user-' || n % 1000 * (1 - n % 2), '{}', 1, 3,
        0, 'none', 0, 0, now() + (CASE WHEN n % 2 = 0 THEN -n ELSE n END) * interval '1 s', 0, 'waiting', n % 2 = 0, 0, 0, 0
      FROM generate_series(1, 100000) n`);
    await sql('ANALYZE job_queue');
  });

  it('take reads few pages, by its indexes', async () => {
    // The prepared statement of `take` is explained, with the settings of its connection.
    const explained = { plan: undefined as Plan | undefined, buffers: 0 };
    const spying = {
      ...queue.database,
      query: (query: { text: string; values?: unknown[] }) =>
        queue.database.use(async (client) => {
          await client.query(`PREPARE taking AS ${query.text}`);
          const values = (query.values ?? []).map((value) => {
            if (Array.isArray(value)) return `ARRAY[${value.map((lane) => `'${lane}'`).join()}]`;
            return value instanceof Date ? `'${value.toISOString()}'` : `'${String(value)}'`;
          });
          const { rows } = await client.query<{ 'QUERY PLAN': [{ Plan: Plan & Record<string, number> }] }>(
            `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE taking (${values.join()})`,
          );
          const { Plan: plan } = rows[0]!['QUERY PLAN'][0];
          explained.plan = plan;
          explained.buffers = plan['Shared Hit Blocks']! + plan['Shared Read Blocks']!;
          await client.query('DEALLOCATE taking');
          return [];
        }),
    };
    const leases = createLeases(spying as never, 'some-worker', LEASE_MS);
    await leases.take(['dummy', 'email:smtp'], 16);
    const nodes = nodesOf(explained.plan!);
    const indexes = nodes.flatMap((node) => node['Index Name'] ?? []);
    expect(indexes).toEqual(expect.arrayContaining(['job_queue_due', 'job_queue_running', 'job_leases_pkey']));
    expect(nodes.filter((node) => node['Node Type'] === 'Seq Scan')).toEqual([]);
    expect(explained.buffers).toBeLessThan(1_000);
  });

  it('take is as fast after many jobs have ended', async () => {
    await sql(`DELETE FROM job_queue`);
    await put({ job_id: 'job-last' });
    expect(await sql('SELECT job_id FROM job_queue')).toHaveLength(1);
    expect(idsOf(await worker().take(['dummy'], 16))).toEqual(['job-last']);
  });
});
