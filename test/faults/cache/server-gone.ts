import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from '@jest/globals';
import type { CachedMusic } from '../../support/cached-music.ts';
import { describeDistributed } from '../../support/distributed.ts';
import type { Load } from '../../support/history/index.ts';
import { describeWithNativeRedis } from '../../support/servers/index.ts';
import type { SharedStack } from '../../support/shared-stack.ts';
import { expectBudgets } from '../../support/spans.ts';

const SERVED = { writes: 20, reads: 200 };
/** Longer than the cache stays off after one failure. */
const GONE_MS = 3_500;
const SLOW_MS = 500;
const WITHIN_MS = 480_000;

export function whenRedisIsGone(stack: SharedStack<CachedMusic>): void {
  describeWithNativeRedis('the cache is never stale, reads lose 300 ms once and writes two seconds,', () =>
    describeDistributed('when Redis', () => {
      let music: CachedMusic;
      stack.use((shared) => (music = shared));

      /** The fault itself takes a while. */
      const goOn = (load: Load) => Promise.all([load.served(SERVED), delay(GONE_MS)]);

      async function without(take: () => unknown, give: () => unknown): Promise<void> {
        const { violations, before, during } = await music.withstand(async (load) => {
          await take();
          await goOn(load);
          await give();
        });
        expect(violations).toEqual([]);
        expectBudgets(before, during);
      }

      it('is killed and started again', () => without(music.redis.kill, music.redis.restart), WITHIN_MS);

      it('is frozen', () => without(music.redis.freeze, music.redis.thaw), WITHIN_MS);

      it(
        `is slow by ${SLOW_MS} ms`,
        () => {
          const proxies = [...music.proxies, music.projectorProxy];
          return without(
            () => proxies.forEach((way) => way.slow(() => SLOW_MS)),
            () => proxies.forEach((way) => way.restore()),
          );
        },
        WITHIN_MS,
      );
    }),
  );
}
