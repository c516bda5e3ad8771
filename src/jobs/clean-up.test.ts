import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type MigratedTables, migratedTables } from '../../test/support/tables.ts';
import type { Database } from '../postgres/pool.ts';
import { jobs } from '../projections/jobs.ts';
import { cleanUp } from './clean-up.ts';

const DAY_MS = 86_400_000;

let database: Database;
let drop: MigratedTables['drop'];

beforeAll(async () => {
  ({ tables: database, drop } = await migratedTables());
  await database.use((client) => client.query(jobs.ddl));
});
afterAll(() => drop());

const sql = (text: string) => database.use((client) => client.query(text));
const idsIn = async (table: string, column: string) =>
  (await sql(`SELECT DISTINCT ${column} AS id FROM ${table} ORDER BY 1`)).rows.map(({ id }) => String(id));

/** Jobs with their state, and for how many days they have been in it. */
const JOBS = [
  ['ended-long-ago', 'succeeded', 31],
  ['ended-lately', 'dead', 29],
  ['runs-for-long', 'running', undefined],
] as const;

it('deletes data of jobs that ended 30 days ago, and data that no job refers to', async () => {
  for (const [name, state, days] of JOBS) {
    await sql(`INSERT INTO jobs (id, version, owner_id, type, state, done, total, failed, created_at, finished_at, payload_id, dropped)
      VALUES ('${name}', 1, 'user-1', 'email', '${state}', 0, 1, 0, now(), ${days ? `now() - interval '${days} days'` : 'NULL'}, '${name}.1', false)`);
  }
  const names = JOBS.map(([name]) => name);
  for (const id of [...names.map((name) => `${name}.1`), 'no-job-s.1'])
    await sql(`INSERT INTO job_payloads VALUES ('${id}', '{}', now() - interval '40 days')`);
  await sql(`INSERT INTO job_payloads VALUES ('young.1', '{}', now())`);
  for (const name of names) {
    await sql(
      `INSERT INTO job_items (payload_id, item, payload) VALUES ('${name}.1', 0, '{}'), ('${name}.1', 1, '{}')`,
    );
    await sql(`INSERT INTO job_effects VALUES ('${name}', 'mail', now() - interval '40 days')`);
  }
  await sql(
    `INSERT INTO job_leases VALUES ('old', 'w', now() - interval '2 hours'), ('held', 'w', now() + interval '10 s')`,
  );

  await sql(`INSERT INTO mail_refusals (job_id, item, refused_at)
    VALUES ('old', -1, now() - interval '31 days'), ('young', 0, now() - interval '29 days')`);

  await sql(`INSERT INTO jobs_under_way VALUES
    ('old', 'left', 0, false, now() - interval '2 minutes'), ('new', 'here', 0, false, now() + interval '10 s')`);

  expect(await cleanUp({ database, keepMs: 30 * DAY_MS })).toBe(6);

  expect(await idsIn('job_payloads', 'id')).toEqual(['ended-lately.1', 'runs-for-long.1', 'young.1']);
  expect(await idsIn('job_items', 'payload_id')).toEqual(['ended-lately.1', 'runs-for-long.1']);
  expect(await idsIn('job_effects', 'job_id')).toEqual(['ended-lately', 'runs-for-long']);
  expect(await idsIn('job_leases', 'job_id')).toEqual(['held']);
  expect(await idsIn('mail_refusals', 'job_id')).toEqual(['young']);
  expect(await idsIn('jobs_under_way', 'job_id')).toEqual(['new']);
});
