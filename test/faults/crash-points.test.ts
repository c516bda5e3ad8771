import { describe, test } from '@jest/globals';
import { crashPoints, dieAndRecover } from '../support/crash.ts';
import { type Doomed, startDoomed } from '../support/doomed.ts';
import { shareStack } from '../support/shared-stack.ts';

const WITHIN_MS = 240_000;
const stack = shareStack(startDoomed);

describe('the process of the embedded shape, killed and restarted', () => {
  let doomed: Doomed;
  stack.use((shared) => (doomed = shared));
  test.each(crashPoints)('keeps every promise at %s', (point, role) => dieAndRecover(doomed, point, role), WITHIN_MS);
});
