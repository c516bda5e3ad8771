import { describe, test } from '@jest/globals';
import { dieAndRecover } from '../support/crash.ts';
import { type Doomed, startDoomed } from '../support/doomed.ts';
import { shareStack } from '../support/shared-stack.ts';

const stack = shareStack(startDoomed);

/** One crash point, the one at which most can be lost; test/faults/crash-points has all of them. */
describe('the process of the embedded shape, killed and restarted', () => {
  let doomed: Doomed;
  stack.use((shared) => (doomed = shared));
  test('keeps every promise at before-commit', () => dieAndRecover(doomed, 'before-commit', 'projector'), 240_000);
});
