import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { JobFailure, type JobType } from '../job-type.ts';

const payload = z.strictObject({
  /** Milliseconds. */
  duration: z.int().min(0).max(600_000).default(0),
  /** Attempts that fail before one succeeds. */
  failures: z.int().min(0).max(100).default(0),
});

/** Takes its time, and fails as often as it is told to: to exercise the system. */
export const dummy: JobType<z.output<typeof payload>> = {
  name: 'dummy',
  access: 'everybody',
  payload,
  backoff: 'exponential',
  plan: (parameters) => ({ parameters }),
  async work({ parameters, attempt, signal }) {
    const { duration, failures } = payload.parse(parameters);
    if (duration > 0) await delay(duration, undefined, { signal });
    if (attempt <= failures) throw new JobFailure('again', 'DUMMY', `it was told to fail ${failures} times`);
    return {};
  },
};
