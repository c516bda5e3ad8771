import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { AppError } from '../../errors.ts';
import { JobFailure, type JobType } from '../job-type.ts';

const payload = z.strictObject({
  /** Milliseconds. */
  duration: z.int().min(0).max(600_000).default(0),
  /** Attempts that fail before one succeeds. */
  failures: z.int().min(0).max(100).default(0),
});

/** Exercises the system: it lasts and fails as its payload says. */
export const dummy: JobType<z.output<typeof payload>> = {
  name: 'dummy',
  access: 'users',
  payload,
  backoff: 'exponential',
  plan(parameters, { dummySeconds }) {
    if (dummySeconds === undefined)
      throw new AppError('rejected', 'JOB_TYPE_OFF', 'There are no jobs of this type here: DUMMY_JOBS is off.');
    if (parameters.duration > dummySeconds * 1_000)
      throw new AppError('rejected', 'DUMMY_TOO_LONG', `Such a job lasts ${dummySeconds * 1_000} ms at most.`);
    return { parameters };
  },
  async work({ parameters, attempt, signal }, { dummySeconds }) {
    const { duration, failures } = payload.parse(parameters);
    if (duration > 0) await delay(Math.min(duration, dummySeconds * 1_000), undefined, { signal });
    if (attempt <= failures) throw new JobFailure('retryable', 'DUMMY', `it was told to fail ${failures} times`);
    return {};
  },
};
