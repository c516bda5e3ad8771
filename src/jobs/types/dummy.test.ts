import { expect, it } from '@jest/globals';
import type { PlanContext, JobServices, Work } from '../job-type.ts';
import { dummy } from './dummy.ts';

const planWith = (dummySeconds: number | undefined, duration: number) => () =>
  dummy.plan({ duration, failures: 0 }, { dummySeconds } as PlanContext);

it('is refused where dummy jobs are off', () => {
  expect(planWith(undefined, 0)).toThrow(expect.objectContaining({ kind: 'rejected', code: 'JOB_TYPE_OFF' }));
});

it('is refused when it would last too long', () => {
  expect(planWith(30, 30_000)()).toEqual({ parameters: { duration: 30_000, failures: 0 } });
  expect(planWith(30, 30_001)).toThrow(expect.objectContaining({ kind: 'rejected', code: 'DUMMY_TOO_LONG' }));
});

it('is cut short when it was accepted under a longer limit', async () => {
  const work = {
    parameters: { duration: 600_000 },
    attempt: 1,
    signal: AbortSignal.timeout(60_000),
  } as unknown as Work;
  await expect(dummy.work(work, { dummySeconds: 0.01 } as JobServices)).resolves.toEqual({});
});
