import { beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { runSchedule } from './schedule.ts';
import { type Mutation, type Plan, unchanged } from './world.ts';

export const seed = Number(process.env.MODEL_SEED ?? Date.now()) | 0;

const upTo = (max: number) => fc.integer({ min: 0, max });
const plans: fc.Arbitrary<Plan> = fc.record({
  seed: fc.noShrink(fc.noBias(fc.integer())),
  steps: fc.noBias(fc.integer({ min: 300, max: 700 })),
  readers: fc.integer({ min: 1, max: 3 }),
  maxCalmSteps: fc.noBias(fc.integer({ min: 60, max: 300 })),
  wipes: upTo(8),
  failovers: upTo(8),
  deaths: upTo(8),
  pauses: upTo(12),
  clockJumps: upTo(8),
  projectorPauses: upTo(6),
  cuts: upTo(4),
});

export const say = (line: string) => process.stdout.write(`cache model: ${line}\n`);

const totals = { reads: 0, hits: 0 };
export const holds = (mutation: Mutation, emphasis: Partial<Plan> = {}) =>
  fc.asyncProperty(plans, async (plan) => {
    const { violation, reads, hits } = await runSchedule({ ...plan, ...emphasis }, mutation);
    totals.reads += reads;
    totals.hits += hits;
    await new Promise((resolve) => setImmediate(resolve)); // schedules take no turn of the event loop, which other work needs
    if (violation !== undefined) throw new Error(violation);
  });

/** Runs the unchanged code in this many random schedules. `MODEL_SCHEDULES` overrides the number. */
export function cacheSuite(count: number): void {
  const schedules = Number(process.env.MODEL_SCHEDULES ?? count);
  beforeAll(() => void say(`MODEL_SEED=${seed}`));

  describe('the unchanged cache', () => {
    it(`is never stale in ${schedules} schedules`, async () => {
      await fc.assert(holds(unchanged), { seed, numRuns: schedules });
      say(`${totals.reads} reads, ${totals.hits} of them from the cache`);
      expect(totals.hits).toBeGreaterThan(totals.reads / 20);
    }, 600_000);
  });
}
