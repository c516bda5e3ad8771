import { afterAll, beforeAll, expect, it } from '@jest/globals';
import pg from 'pg';
import { describeDistributed, type Distributed, startDistributed } from '../support/distributed.ts';
import { checkServed, recordHistory } from '../support/history/index.ts';
import { type NativePostgres, startNativePostgres } from '../support/servers/index.ts';
import { until } from '../support/servers/waiting.ts';

const CRASHES = 3;
/** Several commits, which nobody has flushed yet. */
const UNFLUSHED_BYTES = 20_000;

describeDistributed('after one backend of Postgres was killed -9', () => {
  let postgres: NativePostgres;
  let music: Distributed;

  beforeAll(async () => {
    // What is committed asynchronously stays in memory long enough for a crash to take it back.
    postgres = await startNativePostgres({ settings: { wal_writer_delay: '10s', wal_writer_flush_after: '1GB' } });
    const env = { KAFKA_FLUSH: 'off', PROJECTOR_COMMIT: 'async' };
    music = await startDistributed({ apis: 2, connection: postgres.connection, env });
  }, 120_000);

  afterAll(async () => {
    await music.stop();
    await postgres.stop();
  });

  it('no answer given before is contradicted by a later one of either process, and service resumes by itself', async () => {
    const urls = music.apis.map(({ url }) => url);
    const history = await recordHistory({ urls, readers: 6 }, async (load) => {
      for (let crash = 1; crash <= CRASHES; crash++) {
        await load.served({ writes: 40, reads: 40 });
        await killBackend(postgres);
      }
      await load.served({ writes: 40, reads: 40 });
    });
    expect(await checkServed(history, { env: music.env, urls })).toEqual([]);
  }, 180_000);
});

/**
 * Kills a process that serves a client, upon which Postgres ends all others and recovers, once there are commits to be taken
 * back. Resolves when that has begun.
 */
async function killBackend({ connection }: NativePostgres): Promise<void> {
  const witness = new pg.Client(connection);
  await witness.connect();
  const { promise: broken, resolve } = Promise.withResolvers<unknown>();
  witness.once('error', resolve).once('end', resolve);
  let { victim, unflushed } = await find(witness);
  const isWorthIt = async () => ({ victim, unflushed } = await find(witness)).unflushed > UNFLUSHED_BYTES;
  await until(isWorthIt, 30_000, () => `all but ${unflushed} bytes of the commits are on disk`);
  process.kill(victim, 'SIGKILL');
  await broken;
}

async function find(witness: pg.Client): Promise<{ victim: number; unflushed: number }> {
  const { rows } = await witness.query<{ victim: number; unflushed: number }>(
    `SELECT pid AS victim, pg_wal_lsn_diff(pg_current_wal_insert_lsn(), pg_current_wal_flush_lsn())::int AS unflushed
      FROM pg_stat_activity WHERE application_name = 'openmusic reads' ORDER BY backend_start LIMIT 1`,
  );
  return rows[0]!;
}
