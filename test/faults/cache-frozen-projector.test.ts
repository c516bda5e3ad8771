import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type CachedMusic, startCachedMusic } from '../support/cached-music.ts';
import { changeListHalfway } from '../support/changing-list.ts';
import { describeDistributed } from '../support/distributed.ts';
import type { PlannedRequest } from '../support/history/index.ts';
import { create } from '../support/history/playlists.ts';
import { eventually } from '../support/observed.ts';
import { newPerson } from '../support/people.ts';
import type { OpenMusicProcess } from '../support/processes.ts';
import { describeWithNativeRedis } from '../support/servers/index.ts';
import { hitsIn } from '../support/spans.ts';

const WITHIN_MS = 480_000;
/** Long enough for a commit on a busy machine, which must take less than half of it. */
const MARK_SECONDS = 10;

describeWithNativeRedis('two projectors without a replacement, frozen for longer than the lifetime of marks', () =>
  describeDistributed('one between marks and commit, one between commit and release of the marks', () => {
    let music: CachedMusic;
    beforeAll(async () => {
      const faults = ['before-release:armed:SIGSTOP', 'after-marks:armed:SIGSTOP'];
      const env = { CACHE_MARK_SECONDS: String(MARK_SECONDS) };
      music = await startCachedMusic({ env, projectors: faults.map((FAULT) => ({ FAULT })) });
    }, WITHIN_MS);
    afterAll(() => music.stop());

    /** Creates playlists until the projector freezes: their marks block no other write, as those of a rename would. */
    async function stopWithin(projector: OpenMusicProcess, write: (request: PlannedRequest) => void): Promise<void> {
      const { id, username, accessToken } = await newPerson(music.apis[0]!.url);
      projector.arm();
      await eventually('it is frozen', async () => {
        write(create({ id, username, accessToken }, 'Made early'));
        return projector.isFrozen();
      });
    }

    it(
      'continue without serving an outdated cache entry',
      async () => {
        const [released, committing] = music.projectors;
        const { violations, during } = await music.withstand(async ({ whileQuiet }) => {
          await whileQuiet((write) => stopWithin(released!, write));
          // The other projector takes its partitions meanwhile, but never the reverse: the marks must stay.
          await whileQuiet(async (write) => {
            const list = await changeListHalfway(music, committing!, write);
            await eventually('its mark has expired, and the entry is filled again', list.isCached, WITHIN_MS);
            committing!.thaw();
            await list.mustBeNew();
          });
          // Not earlier: its next marks, or its failure to set any, would invalidate the stale entry.
          released!.thaw();
        });
        expect(violations).toEqual([]);
        expect(during.reads.filter(({ outcome }) => outcome.kind === 'unknown')).toEqual([]);
        expect(hitsIn(during).length).toBeGreaterThan(0);
      },
      WITHIN_MS,
    );
  }),
);
