import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { MARK_MS } from '../../src/cache/cache.ts';
import { type CachedMusic, startCachedMusic } from '../support/cached-music.ts';
import { describeDistributed } from '../support/distributed.ts';
import { answers, eventually } from '../support/observed.ts';
import { describeWithNativeRedis } from '../support/servers/index.ts';
import { hitsIn } from '../support/spans.ts';

/** Long enough for readers to fill what the dead marks left empty. */
const FROZEN_MS = MARK_MS + 10_000;
const WITHIN_MS = 240_000;

describeWithNativeRedis('two projectors, of which nobody takes the place, frozen for longer than marks live', () =>
  describeDistributed('one between marks and commit, one between commit and marks off', () => {
    let music: CachedMusic;
    beforeAll(async () => {
      const faults = ['before-release:armed:SIGSTOP', 'after-marks:armed:SIGSTOP'];
      music = await startCachedMusic({ projectors: faults.map((FAULT) => ({ FAULT })) });
    }, WITHIN_MS);
    afterAll(() => music.stop());

    it(
      'go on without anything that is cached being old',
      async () => {
        const { projectors } = music;
        const { violations, during } = await music.withstand(async () => {
          // The second one may take the first one's partitions, but never the other way round: its marks must be left alone.
          for (const projector of projectors) {
            projector.arm();
            await eventually('it stands still', async () => !(await answers(projector)));
          }
          await delay(FROZEN_MS); // the fault itself
          for (const projector of projectors) projector.thaw();
        });
        expect(violations).toEqual([]);
        expect(during.reads.filter(({ outcome }) => outcome.kind === 'unknown')).toEqual([]);
        expect(hitsIn(during).length).toBeGreaterThan(0);
      },
      WITHIN_MS,
    );
  }),
);
