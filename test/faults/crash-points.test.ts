import { describe, test } from '@jest/globals';
import { crashPoints, crashAndRecover } from '../support/crash-points.ts';
import { type ReplaceableApp, startReplaceableApp } from '../support/replaceable-app.ts';
import { shareStack } from '../support/shared-stack.ts';

const WITHIN_MS = 240_000;
const stack = shareStack(startReplaceableApp);

describe('the process of the embedded shape, killed and restarted', () => {
  let doomed: ReplaceableApp;
  stack.use((shared) => (doomed = shared));
  test.each(crashPoints)('keeps every promise at %s', (point, role) => crashAndRecover(doomed, point, role), WITHIN_MS);
});
