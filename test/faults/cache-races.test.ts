import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type CachedMusic, startCachedMusic } from '../support/cached-music.ts';
import { describeDistributed, seedOfRun } from '../support/distributed.ts';
import { renamesWhileAdding } from '../support/history/index.ts';
import { createRandom } from '../support/history/random.ts';
import { metricOf } from '../support/observed.ts';
import { createDatabase, describeWithNativeRedis, type TestDatabase } from '../support/servers/index.ts';
import { openRedirectableProxy, type RedirectableProxy } from '../support/redirectable-proxy.ts';

const [SLOW_POSTGRES_MS, SLOW_REDIS_MS] = [150, 60];
const WITHIN_MS = 480_000;

describeWithNativeRedis('the cache is never stale', () =>
  describeDistributed('while it is written', () => {
    let database: TestDatabase;
    let toPostgres: RedirectableProxy;
    let music: CachedMusic;
    beforeAll(async () => {
      database = await createDatabase();
      toPostgres = await openRedirectableProxy(database.connection.port);
      const slow = { PGHOST: toPostgres.host, PGPORT: String(toPostgres.port) };
      music = await startCachedMusic({ apis: [{}, slow], connection: database.connection });
    }, WITHIN_MS);
    afterAll(async () => {
      await music.stop();
      await toPostgres.close();
      await database.drop();
    });

    const refused = () => metricOf(music.apis[1]!, 'openmusic_cache_refused_fills_total');

    it(
      'and read by processes that are slow to reach Postgres or Redis',
      async () => {
        const seed = seedOfRun();
        process.stdout.write(`SEED=${seed}\n`);
        const random = createRandom(seed);
        const before = await refused();
        const { violations } = await music.withstand(async (load) => {
          toPostgres.slow(() => SLOW_POSTGRES_MS * random.next());
          music.proxies[0]!.slow(() => SLOW_REDIS_MS * random.next());
          await load.served({ writes: 60, reads: 600 });
          for (const way of [toPostgres, music.proxies[0]!]) way.restore();
        });
        expect(violations).toEqual([]);
        expect(await refused()).toBeGreaterThan(before);
      },
      WITHIN_MS,
    );

    it(
      'and songs are renamed while they are being added to playlists',
      async () => {
        const { violations } = await music.withstand(
          (load) => load.served({ writes: 150, reads: 1_500, hits: 300 }),
          renamesWhileAdding,
        );
        expect(violations).toEqual([]);
      },
      WITHIN_MS,
    );
  }),
);
