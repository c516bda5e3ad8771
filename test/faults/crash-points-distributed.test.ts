import { test } from '@jest/globals';
import { crashPoints, dieAndRecover } from '../support/crash.ts';
import { describeDistributed } from '../support/distributed.ts';
import { startDoomedAmongOthers } from '../support/doomed.ts';

const WITHIN_MS = 240_000;

describeDistributed('a process is killed, the others go on, and another takes its place', () => {
  const kill = (point: string, role: 'api' | 'projector') =>
    dieAndRecover(point, (fault) => startDoomedAmongOthers(role, fault));
  test.each(crashPoints)('%s, in the %s: every promise is kept', kill, WITHIN_MS);
});
