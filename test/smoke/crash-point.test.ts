import { describe, test } from '@jest/globals';
import { dieAndRecover } from '../support/crash.ts';
import { startDoomed } from '../support/doomed.ts';

/** One of the crash points, the one at which most can be lost; test/faults/crash-points has all of them. */
describe('the one process of the embedded shape is killed, and starts again', () => {
  test('before-commit: every promise is kept', () => dieAndRecover('before-commit', startDoomed), 240_000);
});
