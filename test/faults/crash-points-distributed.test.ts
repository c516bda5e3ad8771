import { test } from '@jest/globals';
import { crashPoints, crashAndRecover } from '../support/crash-points.ts';
import { describeDistributed } from '../support/distributed.ts';
import { type ReplaceableApp, startReplaceableDistributed } from '../support/replaceable-app.ts';
import { shareStack } from '../support/shared-stack.ts';

const WITHIN_MS = 240_000;
const stack = shareStack(startReplaceableDistributed);

describeDistributed('a process is killed, the others continue, and a new one replaces it', () => {
  let doomed: ReplaceableApp;
  stack.use((shared) => (doomed = shared));
  test.each(crashPoints)(
    '%s, in the %s: keeps every promise',
    (point, role) => crashAndRecover(doomed, point, role),
    WITHIN_MS,
  );
});
