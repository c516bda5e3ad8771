import { describe, test } from '@jest/globals';
import { crashPoints, dieAndRecover } from '../support/crash.ts';
import { startDoomed } from '../support/doomed.ts';

const WITHIN_MS = 240_000;

describe('the one process of the embedded shape is killed, and starts again', () => {
  const kill = (point: string) => dieAndRecover(point, startDoomed);
  test.each(crashPoints)('%s: every promise is kept', kill, WITHIN_MS);
});
