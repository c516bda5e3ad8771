import { beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import * as mutations from './cache/mutations.ts';
import { runSchedule } from './cache/schedule.ts';
import { type Mutation, type Plan, unchanged } from './cache/world.ts';

const SCHEDULES = Number(process.env.MODEL_SCHEDULES ?? 10_000);
/** A rule that is taken out has to be missed within so many. */
const SCHEDULES_TO_MISS_IT = 10_000;
const seed = Number(process.env.MODEL_SEED ?? Date.now()) | 0;

const upTo = (max: number) => fc.integer({ min: 0, max });
const plans: fc.Arbitrary<Plan> = fc.record({
  seed: fc.noShrink(fc.noBias(fc.integer())),
  steps: fc.noBias(fc.integer({ min: 300, max: 700 })),
  readers: fc.integer({ min: 1, max: 3 }),
  calm: fc.noBias(fc.integer({ min: 60, max: 300 })),
  wipes: upTo(8),
  failovers: upTo(8),
  deaths: upTo(8),
  naps: upTo(12),
  jumps: upTo(8),
  dazes: upTo(6),
  cuts: upTo(4),
});

const say = (line: string) => process.stdout.write(`cache model: ${line}\n`);

const totals = { reads: 0, hits: 0 };
const holds = (mutation: Mutation, emphasis: Partial<Plan> = {}) =>
  fc.asyncProperty(plans, async (plan) => {
    const { violation, reads, hits } = await runSchedule({ ...plan, ...emphasis }, mutation);
    totals.reads += reads;
    totals.hits += hits;
    await new Promise((resolve) => setImmediate(resolve)); // schedules take no turn of the event loop, others may want one
    if (violation !== undefined) throw new Error(violation);
  });

beforeAll(() => void say(`MODEL_SEED=${seed}`));

describe('the cache as it is', () => {
  it(`is never stale in ${SCHEDULES} schedules`, async () => {
    await fc.assert(holds(unchanged), { seed, numRuns: SCHEDULES });
    say(`${totals.reads} reads, ${totals.hits} of them from the cache`);
    expect(totals.hits).toBeGreaterThan(totals.reads / 20);
  }, 600_000);
});

const inPeace = { wipes: 0, failovers: 0, deaths: 0, cuts: 0, naps: 0, jumps: 0, dazes: 0 };

describe('the cache is stale', () => {
  it.each([
    ['marks come after the commit', mutations.markedAfterwards, {}],
    ['a mark holds one batch only', mutations.loneMarks, { ...inPeace, calm: 100, naps: 10 }],
    ['entries are stored without a lease', mutations.withoutLeases, { ...inPeace, calm: 100 }],
    ['commits do not refuse when their marks are old', mutations.withOldMarks, { ...inPeace, dazes: 15 }],
    ['epochs are not marked', mutations.withoutEpochs, {}],
    ['nobody looks at the key of the incarnation', mutations.withoutIncarnationKey, { ...inPeace, wipes: 6, naps: 8 }],
    ['commits do not look at the row', mutations.withoutRow, {}],
    ['nobody looks at the run id', mutations.withoutRunId, {}],
    [
      'nobody waits until older rows are believed no more',
      mutations.unsettled,
      { ...inPeace, calm: 120, failovers: 4, naps: 8 },
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
