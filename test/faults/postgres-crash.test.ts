import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { describeDistributed, type Distributed, startDistributed } from '../support/distributed.ts';
import { checkServed, recordHistory } from '../support/history/index.ts';
import { crashPostgres, serving } from '../support/postgres-crash.ts';
import { type NativePostgres, startNativePostgres } from '../support/servers/index.ts';

const CRASHES = 3;
/** So that a crash can lose several commits. */
const UNFLUSHED = 'pg_wal_lsn_diff(pg_current_wal_insert_lsn(), pg_current_wal_flush_lsn()) > 20000';

describeDistributed('after one backend of Postgres was killed -9', () => {
  let postgres: NativePostgres;
  let music: Distributed;

  beforeAll(async () => {
    // Asynchronous commits stay in memory long enough for a crash to lose them.
    postgres = await startNativePostgres({ settings: { wal_writer_delay: '10s', wal_writer_flush_after: '1GB' } });
    const env = { KAFKA_FLUSH: 'off', PROJECTOR_COMMIT: 'async' };
    music = await startDistributed({ apis: 2, connection: postgres.connection, env });
  }, 120_000);

  afterAll(async () => {
    await music.stop();
    await postgres.stop();
  });

  it('no earlier answer is contradicted by a later one of either process, and service resumes by itself', async () => {
    const urls = music.apis.map(({ url }) => url);
    const history = await recordHistory({ urls, readers: 6 }, async (load) => {
      for (let crashes = 0; crashes < CRASHES; crashes++) {
        await load.served({ writes: 40, reads: 40 });
        await crashPostgres(postgres.connection, `${serving('openmusic reads')} AND ${UNFLUSHED}`);
      }
      await load.served({ writes: 40, reads: 40 });
    });
    expect(await checkServed(history, { env: music.env, urls })).toEqual([]);
  }, 180_000);
});
