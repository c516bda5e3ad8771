import { test } from '@jest/globals';
import { crashPoints, dieAndRecover } from '../support/crash.ts';
import { describeDistributed } from '../support/distributed.ts';
import { type Doomed, startDoomedDistributed } from '../support/doomed.ts';
import { shareStack } from '../support/shared-stack.ts';

const WITHIN_MS = 240_000;
const stack = shareStack(startDoomedDistributed);

describeDistributed('a process is killed, the others continue, and a new one replaces it', () => {
  let doomed: Doomed;
  stack.use((shared) => (doomed = shared));
  test.each(crashPoints)(
    '%s, in the %s: keeps every promise',
    (point, role) => dieAndRecover(doomed, point, role),
    WITHIN_MS,
  );
});
