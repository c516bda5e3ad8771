import { afterAll, beforeAll, expect, it } from '@jest/globals';
import pg from 'pg';
import { type Client, createClient } from '../support/client.ts';
import { type CuttingProxy, startCuttingProxy } from '../support/cutting-proxy.ts';
import { describeDistributed, type Distributed, startDistributed } from '../support/distributed.ts';
import { eventually, linesOf } from '../support/observed.ts';
import { createDatabase, type TestDatabase } from '../support/servers/index.ts';

const LISTENER = 'openmusic listen';
const WRITES = 20;

describeDistributed('an API process without commit notifications', () => {
  let database: TestDatabase;
  let proxy: CuttingProxy;
  let system: Distributed;
  let client: Client;

  beforeAll(async () => {
    database = await createDatabase();
    proxy = await startCuttingProxy(database.connection);
    const { host, port } = proxy.connection;
    system = await startDistributed({ connection: database.connection, apis: 0 });
    client = createClient((await system.startApi({ PGHOST: host, PGPORT: String(port) })).url);
  });
  afterAll(async () => {
    await system.stop();
    await proxy.close();
    await database.drop();
  });

  /**
   * Milliseconds that each of some writes took, one after the other. A write without a verdict would be 503 after five
   * seconds; the process polls for the verdict every 150 ms.
   */
  async function writes(): Promise<number[]> {
    const took: number[] = [];
    for (let n = 0; n < WRITES; n++) {
      const begin = performance.now();
      expect((await client.post('/albums', { name: `${n}`, year: n })).status).toBe(201);
      took.push(performance.now() - begin);
    }
    return took.sort((one, other) => one - other);
  }

  /** Listens on the channel of commits; changes of accounts have another one. */
  async function listening<T>(use: (pids: readonly number[], admin: pg.Client) => Promise<T> | T): Promise<T> {
    const admin = new pg.Client(database.connection);
    await admin.connect();
    try {
      const text = `SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND datname = $2 AND query LIKE 'LISTEN%' AND query NOT LIKE '% access"'`;
      const { rows } = await admin.query<{ pid: number }>(text, [LISTENER, database.connection.database]);
      return await use(
        rows.map(({ pid }) => pid),
        admin,
      );
    } finally {
      await admin.end();
    }
  }
  const listens = () => eventually('it listens', () => listening((pids) => pids.length === 1));

  it('answers writes within the poll interval, and receives notifications again when it can', async () => {
    await listens();
    const before = await writes();
    proxy.ban(LISTENER);
    const withoutNotices = await writes();
    expect(linesOf(system.apis[0]!, 'cannot listen').length).toBeGreaterThan(0);
    proxy.unban();
    await listens();
    const after = await writes();
    // On a busy machine many of them are slow, but all of them are slow only while it receives no notifications.
    const median = withoutNotices[WRITES / 2]!;
    expect(before[0]).toBeLessThan(median);
    expect(after[0]).toBeLessThan(median);
  });

  it('misses no verdict when Postgres closes its listening connection repeatedly', async () => {
    for (let round = 0; round < 5; round++) {
      await listens();
      const writing = writes();
      await listening(([pid], admin) => admin.query('SELECT pg_terminate_backend($1)', [pid]));
      await writing;
    }
    await listens();
  });
});
