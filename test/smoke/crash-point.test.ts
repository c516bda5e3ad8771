import { describe, test } from '@jest/globals';
import { crashAndRecover } from '../support/crash-points.ts';
import { type ReplaceableApp, startReplaceableApp } from '../support/replaceable-app.ts';
import { shareStack } from '../support/shared-stack.ts';

const stack = shareStack(startReplaceableApp);

/** One crash point, the one at which most can be lost; test/faults/crash-points has all of them. */
describe('the process of the embedded shape, killed and restarted', () => {
  let doomed: ReplaceableApp;
  stack.use((shared) => (doomed = shared));
  test('keeps every promise at before-commit', () => crashAndRecover(doomed, 'before-commit', 'projector'), 240_000);
});
