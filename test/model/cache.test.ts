import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import * as mutations from './cache/mutations.ts';
import { cacheSuite, holds, say, seed } from './cache/suite.ts';
import type { Mutation, Plan } from './cache/world.ts';

/** A removed rule must be detected within this many schedules. */
const SCHEDULES_TO_MISS_IT = 10_000;

cacheSuite(500);

const inPeace = { wipes: 0, failovers: 0, deaths: 0, cuts: 0, naps: 0, jumps: 0, dazes: 0 };

describe('the cache is stale', () => {
  it.each([
    ['marks come after the commit', mutations.withMarksAfterCommit, {}],
    ['a mark holds one batch only', mutations.withSingleBatchMarks, { ...inPeace, maxCalmSteps: 100, pauses: 10 }],
    ['entries are stored without a lease', mutations.withoutLeases, { ...inPeace, maxCalmSteps: 100 }],
    ['commits with old marks are not refused', mutations.withOldMarks, { ...inPeace, projectorPauses: 15 }],
    ['epochs are not marked', mutations.withoutEpochs, {}],
    ['the key of the incarnation is not checked', mutations.withoutIncarnationKey, { ...inPeace, wipes: 6, pauses: 8 }],
    ['commits do not check the row', mutations.withoutRow, {}],
    ['the run id is not checked', mutations.withoutRunId, {}],
    [
      'writes do not wait until older rows are out of use',
      mutations.withoutSettling,
      { ...inPeace, maxCalmSteps: 120, failovers: 4, pauses: 8 },
    ],
  ] satisfies [string, Mutation, Partial<Plan>][])(
    'where %s',
    async (what, mutation, emphasis) => {
      const property = holds(mutation, emphasis);
      const found = await fc.check(property, { seed, numRuns: SCHEDULES_TO_MISS_IT, endOnFailure: true });
      say(`${what}: found after ${found.numRuns} schedules`);
      expect(found.failed).toBe(true);
      expect(String((found.errorInstance as Error | undefined)?.message)).toMatch(/saw \w+ \d+ from the cache/);
    },
    600_000,
  );
});
