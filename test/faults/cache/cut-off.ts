import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from '@jest/globals';
import type { CachedMusic, FaultSpans } from '../../support/cached-music.ts';
import { describeDistributed } from '../../support/distributed.ts';
import { describeWithNativeRedis } from '../../support/servers/index.ts';
import type { SharedStack } from '../../support/shared-stack.ts';
import { expectBudgets, hitsIn } from '../../support/spans.ts';
import type { RedirectableProxy } from '../../support/redirectable-proxy.ts';

const SERVED = { writes: 20, reads: 200 };
/** Longer than the cache stays off after the last failure. */
const CUT_MS = 5_000;
const WITHIN_MS = 480_000;

export function whenCutOff(stack: SharedStack<CachedMusic>): void {
  describeWithNativeRedis('the cache is never stale, and every client is served,', () =>
    describeDistributed('when one process loses its connection to Redis:', () => {
      let music: CachedMusic;
      stack.use((shared) => (music = shared));

      async function without(way: RedirectableProxy, lose: 'cut' | 'block'): Promise<FaultSpans> {
        const withstood = await music.withstand(async (load) => {
          way[lose]();
          await Promise.all([load.served(SERVED), delay(CUT_MS)]); // the fault itself
          way.restore();
        });
        expect(withstood.violations).toEqual([]);
        expectBudgets(withstood.before, withstood.during);
        return withstood;
      }

      /** Cache hits of each API process, once it can have detected the fault. */
      function hitsOfEach({ during }: FaultSpans): number[] {
        const noticed = Math.min(...during.reads.map(({ start }) => start)) + CUT_MS / 2;
        const later = { ...during, reads: during.reads.filter(({ start }) => start > noticed) };
        return music.apis.map(({ url }) => hitsIn(later, url).length);
      }

      it.each(['cut', 'block'] as const)(
        'the projector (%s): no process reads the cache',
        async (lose) => {
          const [one, other] = hitsOfEach(await without(music.projectorProxy, lose));
          expect([one, other]).toEqual([0, 0]);
        },
        WITHIN_MS,
      );

      it.each(['cut', 'block'] as const)(
        'one API process (%s): the other one reads the cache',
        async (lose) => {
          const [one, other] = hitsOfEach(await without(music.proxies[0]!, lose));
          expect(one).toBe(0);
          expect(other).toBeGreaterThan(0);
        },
        WITHIN_MS,
      );
    }),
  );
}
