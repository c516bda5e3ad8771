import { afterAll, expect, it } from '@jest/globals';
import type { CachedMusic, CacheLoad } from '../../support/cached-music.ts';
import { describeDistributed } from '../../support/distributed.ts';
import { stopReplication, portOf, startReplica, sendToRedis } from '../../support/redis.ts';
import { describeWithNativeRedis, type NativeRedis } from '../../support/servers/index.ts';
import type { SharedStack } from '../../support/shared-stack.ts';
import { expectBudgets } from '../../support/spans.ts';

/** This many changes make the saved copy of Redis outdated. */
const CHANGED = { writes: 30, reads: 200, hits: 50 };
/** And any outdated entry that can be read would be read. */
const READ = { writes: 0, reads: 300, hits: 50 };
const WITHIN_MS = 480_000;

export function whenRedisHasOtherData(stack: SharedStack<CachedMusic>): void {
  describeWithNativeRedis('the cache is never stale, reads lose 300 ms once and writes two seconds,', () =>
    describeDistributed('when Redis', () => {
      let music: CachedMusic;
      let replica: NativeRedis | undefined;
      stack.use((shared) => (music = shared));
      afterAll(() => replica?.stop());

      async function withstands(what: (load: CacheLoad) => Promise<unknown>): Promise<void> {
        const { violations, before, during } = await music.withstand(async (load) => {
          await what(load);
          await load.served(CHANGED);
        });
        expect(violations).toEqual([]);
        expectBudgets(before, during);
      }

      it('is wiped', () => withstands(() => sendToRedis(music.redis, 'FLUSHALL')), WITHIN_MS);

      it(
        'comes back from an old snapshot',
        () =>
          withstands(async (load) => {
            await sendToRedis(music.redis, 'SAVE');
            await load.served(CHANGED);
            await load.whileQuiet(async () => {
              await music.redis.restart();
              await load.served(READ);
            });
          }),
        WITHIN_MS,
      );

      it(
        'fails over to a replica that is behind',
        async () => {
          const behind = (replica = await startReplica(music.redis));
          await withstands(async (load) => {
            await stopReplication(behind);
            await load.served(CHANGED);
            await load.whileQuiet(async () => {
              for (const way of [music.projectorProxy, ...music.proxies]) way.redirectTo(portOf(behind));
              await load.served(READ);
            });
          });
        },
        WITHIN_MS,
      );
    }),
  );
}
