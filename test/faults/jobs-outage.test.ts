import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type JobsApp, startJobsApp } from '../support/jobs-faults.ts';
import { begin, beginAll, untilJob, untilOver } from '../support/jobs-client.ts';
import { eventually } from '../support/observed.ts';
import { crashPostgres, serving } from '../support/postgres-crash.ts';
import { type NativePostgres, startNativePostgres } from '../support/servers/index.ts';

const TIME_MS = 240_000;
const WITHIN_MS = 90_000;
const CRASHES = 3;
const SONGS = 1_500;

let postgres: NativePostgres;
let app: JobsApp;

beforeAll(async () => {
  postgres = await startNativePostgres();
  const { host, port, user, password, database } = postgres.connection;
  const login = { PGHOST: host, PGPORT: String(port), PGUSER: user, PGPASSWORD: password, PGDATABASE: database };
  app = await startJobsApp({ env: { ...login, JOB_ATTEMPTS: '1' } });
}, TIME_MS);
afterAll(async () => {
  await app.stop();
  await postgres.stop();
}, TIME_MS);

it(
  'a Postgres that crashes during jobs uses none of their attempts',
  async () => {
    const lines = Array.from({ length: SONGS }, (_, n) => `song,Yellow ${n},2000,Pop,Coldplay`);
    const data = ['kind,title,year,genre,performer', ...lines].join('\n');
    const imports = await begin(app.admin, '/jobs', { type: 'import-catalog', payload: { format: 'csv', data } });
    await untilJob(app.admin, imports, 'runs', ({ state }) => state === 'running', WITHIN_MS);
    const ids = [imports];
    for (let crash = 0; crash < CRASHES; crash++) {
      ids.push(...(await beginAll(app.admin, '/jobs', Array(4).fill({ type: 'report' }) as object[])));
      await crashPostgres(postgres.connection, serving('openmusic reads'));
      await eventually('it answers', async () => (await app.admin.get('/jobs?limit=1')).status === 200, WITHIN_MS);
    }
    const jobs = await untilOver(app.admin, ids, WITHIN_MS);
    expect(jobs.filter(({ state }) => state !== 'succeeded')).toEqual([]);
    expect(jobs[0]).toMatchObject({ progress: { done: SONGS, failed: 0 } });
  },
  TIME_MS,
);
