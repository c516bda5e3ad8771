import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type CachedMusic, startCachedMusic } from '../support/cached-music.ts';
import { describeDistributed } from '../support/distributed.ts';
import { answers, eventually } from '../support/observed.ts';
import { leaveBehind, portOf, startReplica, tellRedis } from '../support/redis.ts';
import { describeWithNativeRedis, type NativeRedis } from '../support/servers/index.ts';

/** While the projector stands still nothing is written, and what is read is as it was before. */
const READ = { writes: 0, reads: 400 };
const WITHIN_MS = 240_000;

describeWithNativeRedis('what is cached is never old', () =>
  describeDistributed('when between marks and commit Redis', () => {
    let music: CachedMusic;
    let replica: NativeRedis | undefined;
    beforeAll(async () => {
      music = await startCachedMusic({ projectors: [{ FAULT: 'after-marks:armed:SIGSTOP' }] });
    }, WITHIN_MS);
    afterAll(async () => {
      await music.stop();
      await replica?.stop();
    });

    async function betweenMarksAndCommit(what: () => unknown): Promise<void> {
      const [projector] = music.projectors;
      const { violations, during } = await music.withstand(async (load) => {
        projector!.arm();
        await eventually('the projector stands still', async () => !(await answers(projector!)));
        await what();
        await load.served(READ);
        projector!.thaw();
      });
      expect(violations).toEqual([]);
      expect(during.reads.filter(({ outcome }) => outcome.kind === 'unknown')).toEqual([]);
    }

    it('is wiped', () => betweenMarksAndCommit(() => tellRedis(music.redis, 'FLUSHALL')), WITHIN_MS);

    it(
      'fails over to a replica without the marks',
      async () => {
        const behind = (replica = await startReplica(music.redis));
        await leaveBehind(behind);
        await betweenMarksAndCommit(() => {
          for (const way of [music.projectorWay, ...music.ways]) way.leadTo(portOf(behind));
        });
      },
      WITHIN_MS,
    );
  }),
);
