import { expect, it } from '@jest/globals';
import type { CachedMusic } from '../../support/cached-music.ts';
import { describeDistributed } from '../../support/distributed.ts';
import { entryOf, eventually, metricOf } from '../../support/observed.ts';
import { sendToRedis } from '../../support/redis.ts';
import { describeWithNativeRedis } from '../../support/servers/index.ts';
import type { SharedStack } from '../../support/shared-stack.ts';
import { hitsIn } from '../../support/spans.ts';

const SERVED = { writes: 30, reads: 300 };
/** A suitable server would be used again by then. */
const USED_AGAIN_MS = 5_000;
const WITHIN_MS = 480_000;

export function whenMemoryIsShort(stack: SharedStack<CachedMusic>): void {
  describeWithNativeRedis('the cache is never stale', () =>
    describeDistributed('when Redis', () => {
      let music: CachedMusic;
      stack.use((shared) => (music = shared));

      const configure = (name: string, value: string) => sendToRedis(music.redis, 'CONFIG', 'SET', name, value);

      it(
        'is full: writes are marked anyway',
        async () => {
          const marked = () => metricOf(music.projectors[0]!, 'openmusic_cache_marks_total');
          let [before, after] = [0, 0];
          const { violations, during } = await music.withstand(async (load) => {
            await configure('maxmemory', '1');
            before = await marked();
            await load.served(SERVED);
            after = await marked();
            await configure('maxmemory', '0');
          });
          expect(after).toBeGreaterThan(before);
          expect(violations).toEqual([]);
          expect(during.unanswered).toEqual([]);
        },
        WITHIN_MS,
      );

      it(
        'evicts keys: no process reads it any more, and every process reports it',
        async () => {
          const detail = expect.stringContaining('Redis evicts keys (maxmemory-policy allkeys-lru)');
          const processes = [...music.apis, ...music.projectors];
          /** A new connection checks the eviction policy. */
          const evict = async (policy: string) => {
            await configure('maxmemory-policy', policy);
            await sendToRedis(music.redis, 'CLIENT', 'KILL', 'TYPE', 'normal');
          };
          let noticed = Infinity;
          const { violations, during } = await music.withstand(async (load) => {
            await evict('allkeys-lru');
            for (const each of processes) {
              await eventually('it is reported', async () =>
                (await entryOf(each, 'cache')).entry!.detail.includes('evicts'),
              );
              expect((await entryOf(each, 'cache')).entry).toMatchObject({ ok: true, detail });
            }
            noticed = performance.now();
            while (performance.now() < noticed + USED_AGAIN_MS) await load.served(SERVED);
            await evict('noeviction');
          });
          expect(violations).toEqual([]);
          expect(during.unanswered).toEqual([]);
          expect(hitsIn(during).filter(({ start }) => start > noticed)).toEqual([]);
        },
        WITHIN_MS,
      );
    }),
  );
}
