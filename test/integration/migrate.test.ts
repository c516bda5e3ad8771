import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { migrate } from '../../src/postgres/migrate.ts';
import { crashPostgres, crashWithoutRecovery, serving } from '../support/postgres-crash.ts';
import { namespace, type NativePostgres, startNativePostgres } from '../support/servers/index.ts';

describe('migrating', () => {
  let postgres: NativePostgres;
  beforeAll(async () => {
    postgres = await startNativePostgres();
  });
  afterAll(() => postgres.stop());

  it('waits for a Postgres that recovers from a crash', async () => {
    const { connection } = postgres;
    await crashWithoutRecovery(connection);
    expect(await migrate({ connection, namespace: namespace() })).not.toHaveLength(0);
  });

  it('fails when its connection breaks, without breaking others', async () => {
    const { connection } = postgres;
    const other = new pg.Client(connection);
    other.on('error', () => undefined); // this one breaks as well
    await other.connect();
    await other.query(`SELECT pg_advisory_lock(hashtext('openmusic migrate'))`);
    const migrating = migrate({ connection, namespace: namespace() });
    await Promise.all([
      expect(migrating).rejects.toThrow('Connection terminated unexpectedly'),
      crashPostgres(connection, `${serving('openmusic migrate')} AND wait_event_type = 'Lock'`),
    ]);
    await other.end();
  });
});
