import { describe, test } from '@jest/globals';
import { dieAndRecover } from '../support/crash.ts';
import { type Doomed, startDoomed } from '../support/doomed.ts';
import { shareStack } from '../support/shared-stack.ts';

const stack = shareStack(startDoomed);

/** One of the crash points, the one at which most can be lost; test/faults/crash-points has all of them. */
describe('the one process of the embedded shape is killed, and starts again', () => {
  let doomed: Doomed;
  stack.use((shared) => (doomed = shared));
  test('before-commit: every promise is kept', () => dieAndRecover(doomed, 'before-commit', 'projector'), 240_000);
});
