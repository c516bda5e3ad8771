import { afterAll, expect, it } from '@jest/globals';
import type { CachedMusic } from '../../support/cached-music.ts';
import { changeListHalfway } from '../../support/changing-list.ts';
import { describeDistributed } from '../../support/distributed.ts';
import { stopReplication, portOf, startReplica, sendToRedis } from '../../support/redis.ts';
import { describeWithNativeRedis, type NativeRedis } from '../../support/servers/index.ts';
import type { SharedStack } from '../../support/shared-stack.ts';

/** Long enough for the loss to be detected, and for outdated reads to be stored. */
const READ = { writes: 0, reads: 1_000 };
const WITHIN_MS = 480_000;

export function whenMarksAreLost(stack: SharedStack<CachedMusic>): void {
  describeWithNativeRedis('the cache is never stale', () =>
    describeDistributed('when between marks and commit Redis', () => {
      let music: CachedMusic;
      let replica: NativeRedis | undefined;
      stack.use((shared) => (music = shared));
      afterAll(() => replica?.stop());

      async function betweenMarksAndCommit(what: () => unknown): Promise<void> {
        const [projector] = music.projectors;
        const { violations, during } = await music.withstand(({ served, whileQuiet }) =>
          whileQuiet(async (write) => {
            const list = await changeListHalfway(music, projector!, write);
            await what();
            await served(READ);
            await list.mustBeOld(); // and every process that can store it does so
            projector!.thaw();
            await list.mustBeNew();
          }),
        );
        expect(violations).toEqual([]);
        expect(during.reads.filter(({ outcome }) => outcome.kind === 'unknown')).toEqual([]);
      }

      it('is wiped', () => betweenMarksAndCommit(() => sendToRedis(music.redis, 'FLUSHALL')), WITHIN_MS);

      it(
        'fails over to a replica without the marks',
        async () => {
          const behind = (replica = await startReplica(music.redis));
          await stopReplication(behind);
          await betweenMarksAndCommit(() => {
            for (const way of [music.projectorProxy, ...music.proxies]) way.redirectTo(portOf(behind));
          });
        },
        WITHIN_MS,
      );
    }),
  );
}
