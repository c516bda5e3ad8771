import { mkdtempSync, rmSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { READ_VERSION } from '../../src/projections/projections.ts';
import { type Database, openDatabase } from '../../src/postgres/pool.ts';
import { createClient } from '../support/client.ts';
import { openmusic, type OpenMusicProcess, startProcess } from '../support/processes.ts';
import { randomName } from '../support/servers/database.ts';
import { createDatabase, namespace, type TestDatabase } from '../support/servers/index.ts';
import { until } from '../support/servers/waiting.ts';

const LIMIT_MS = 400;
const LIMITS = ['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout'];

let database: TestDatabase;
let admin: Database;
let app: OpenMusicProcess;
let env: Record<string, string>;
const role = randomName('limited');

/** A role whose operator sets a short statement timeout. */
async function createLimitedRole(): Promise<void> {
  const name = database.connection.database;
  await admin.query({ text: `CREATE ROLE ${role} LOGIN PASSWORD 'limited'; GRANT ALL ON DATABASE ${name} TO ${role}` });
  for (const limit of LIMITS) await admin.query({ text: `ALTER ROLE ${role} SET ${limit} = ${LIMIT_MS}` });
}

beforeAll(async () => {
  database = await createDatabase();
  const { host, port, database: name } = database.connection;
  admin = openDatabase(database.connection, { name: 'test', max: 4, searchPath: ['public'] });
  await createLimitedRole();
  const DATA_DIR = mkdtempSync(path.join(tmpdir(), 'openmusic-rebuild-'));
  const login = { PGHOST: host, PGPORT: String(port), PGUSER: role, PGPASSWORD: 'limited', PGDATABASE: name };
  env = { NAMESPACE: namespace(), DATA_DIR, ...login };
  app = await startProcess({ env });
  expect((await createClient(app.url).post('/albums', { name: 'Parachutes', year: 2000 })).status).toBe(201);
}, 120_000);
afterAll(async () => {
  await app.end('SIGKILL');
  rmSync(env.DATA_DIR!, { recursive: true, force: true });
  await admin.stop();
  await database.drop();
});

/** Delays the comparison with the live generation until the returned function is called. */
async function holdUp(): Promise<() => Promise<void>> {
  const { promise: enough, resolve } = Promise.withResolvers<void>();
  const { promise: held, resolve: holds } = Promise.withResolvers<void>();
  const done = admin.use(async (client) => {
    await client.query(
      `BEGIN; LOCK TABLE "${env.NAMESPACE!}_read_${READ_VERSION}_1".checkpoints IN ROW EXCLUSIVE MODE`,
    );
    holds();
    await enough;
    await client.query('COMMIT');
  });
  await held;
  return async () => {
    resolve();
    await done;
  };
}

/** A statement of a rebuild waits for a lock longer than the role allows. */
async function isHeldUp(): Promise<boolean> {
  const rows = await admin.query({
    text: `SELECT FROM pg_stat_activity WHERE application_name LIKE 'openmusic rebuild%' AND wait_event_type = 'Lock'
      AND now() - query_start > $1 * interval '1 ms'`,
    values: [3 * LIMIT_MS],
  });
  return rows.length > 0;
}

it('a second rebuild reports at once which process runs the first one, which overrides the time limits of its role and reports it', async () => {
  const release = await holdUp();
  const began = new Date(Math.floor(Date.now() / 1_000) * 1_000);
  const first = openmusic(['projections', 'rebuild'], env);
  await until(isHeldUp, 60_000, () => 'no rebuild is held up');

  const second = await openmusic(['projections', 'rebuild'], env);
  const said = new RegExp(`A rebuild is running: by process \\d+ on ${hostname().slice(0, 20)}.*, since (\\S+)\\. `);
  expect(second).toMatchObject({ code: 3, output: expect.stringMatching(said) });
  const since = Date.parse(said.exec(second.output)![1]!);
  expect(since).toBeGreaterThanOrEqual(began.getTime());
  expect(since).toBeLessThanOrEqual(Date.now());

  await release();
  const { code, output } = await first;
  expect({ code, output }).toMatchObject({ code: 0, output: expect.stringContaining('equals the live generation') });
  for (const limit of LIMITS) expect(output).toContain(`${limit} (${LIMIT_MS} ms)`);
  expect(app.output()).toContain('not applied to rebuilds, projectors and migrations: ');
  expect(await openmusic(['projections', 'rebuild'], env)).toMatchObject({ code: 0 });
}, 180_000);
