import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import type { FaultPoint } from '../../../src/faults.ts';
import { seedOfRun, type Settings } from '../../support/distributed.ts';
import type { JobsApp } from '../../support/jobs-faults.ts';
import type { JobsStack } from '../../support/jobs-stack.ts';
import { allJobs, begin, jobOf } from '../../support/jobs-client.ts';
import { eventually } from '../../support/observed.ts';
import { within } from '../../support/servers/waiting.ts';
import type { SharedStack } from '../../support/shared-stack.ts';

/**
 * Before and after each of the two events of an occurrence, which alternate, and while the read models apply them. It
 * starts at the first number at which the process may die, and then takes every second one.
 */
const POINTS: readonly (readonly [FaultPoint, number])[] = [
  ['before-append', 1],
  ['before-append', 2],
  ['after-append', 1],
  ['after-append', 2],
  ['before-commit', 1],
  ['after-commit', 1],
];
const CHOICES = 2;
const A_SECOND_MS = 1_000;
const TIME_MS = 180_000;

export function whenTheSchedulerIsKilled(stack: SharedStack<JobsStack>): void {
  describe('a scheduler that is killed -9 repeatedly while a job repeats every second', () => {
    let app: JobsApp;
    stack.use((shared) => ({ app } = shared));
    /** No other process appends, so every point belongs to the scheduler or follows from its events. */
    const replace = (more: Settings) => app.replace({ ROLES: 'api,projector,scheduler', ...more });

    /** The process may reach the point before it is ready. */
    async function dieAt(FAULT: string): Promise<void> {
      const early = await replace({ FAULT }).then(() => undefined, String);
      if (early === undefined) expect(await within(30_000, `to die at ${FAULT}`, app.process().ended)).toBe('SIGKILL');
      else expect(early).toContain('ended with SIGKILL');
    }

    it(
      'requests each occurrence once',
      async () => {
        const seed = seedOfRun();
        process.stdout.write(`SEED=${seed}\n`);
        const repeat = { cron: '* * * * * *', timeZone: 'Asia/Jakarta', missed: 'run-all' };
        const parent = await begin(app.admin, '/jobs', { type: 'dummy', repeat });
        for (const [index, [point, first]] of POINTS.entries()) {
          await dieAt(`${point}:${first + 2 * ((seed >> (2 * index)) % CHOICES)}`);
        }
        await replace({});
        await delay(seed % A_SECOND_MS); // the next kill comes at any time between two occurrences
        await replace({});
        const isUpToDate = async () => dueAt(await jobOf(app.admin, parent)) > Date.now() - 1_000;
        await eventually('missed times are made up', isUpToDate);
        expect((await app.admin.delete(`/jobs/${parent}`)).status).toBe(200);
        const times = (await allJobs(app.admin, 'dummy')).filter(({ parentId }) => parentId === parent).map(dueAt);
        const [first, last] = [Math.min(...times), Math.max(...times)];
        const seconds = Array.from({ length: (last - first) / 1_000 + 1 }, (_, index) => first + index * 1_000);
        expect(times.toSorted((one, other) => one - other)).toEqual(seconds);
        expect(seconds.length).toBeGreaterThan(10);
      },
      TIME_MS,
    );
  });
}

const dueAt = ({ deliverAt = '' }: { deliverAt?: string }) => new Date(deliverAt).getTime();
