import { beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { withLaterHead, withLaterVersion } from './mutations.ts';
import { plans } from './plans.ts';
import { runSchedule } from './schedule.ts';
import { type Mutation, type Plan, unchanged } from './world.ts';

export const seed = Number(process.env.MODEL_SEED ?? Date.now()) | 0;

export const say = (line: string) => process.stdout.write(`arbitration model: ${line}\n`);

/** The property that no schedule breaks an invariant. */
export const holds = (mutation: Mutation, emphasis: Partial<Plan> = {}) =>
  fc.asyncProperty(plans, async (plan) => {
    const { violation } = await runSchedule({ ...plan, ...emphasis }, mutation);
    await new Promise((resolve) => setImmediate(resolve)); // schedules take no turn of the event loop, which other work needs
    if (violation !== undefined) throw new Error(violation);
  });

/** Runs the unchanged code in this many random schedules. `MODEL_SCHEDULES` overrides the number. */
export function writePathSuite(count: number): void {
  const schedules = Number(process.env.MODEL_SCHEDULES ?? count);
  beforeAll(() => void say(`MODEL_SEED=${seed}`));

  describe('the unchanged write path', () => {
    it(`keeps every promise in ${schedules} schedules`, async () => {
      await fc.assert(holds(unchanged), { seed, numRuns: schedules });
    }, 600_000);

    it('continues when a crash loses a commit during the next delivery', async () => {
      const plan = {
        seed: 1409596597,
        steps: 108,
        apis: 1,
        projectors: 1,
        clients: 4,
        streams: 2,
        remembered: 1,
        verdictWait: 31,
        apart: false,
        crashes: 8,
        deaths: 10,
        pauses: 0,
        joins: 10,
        unknown: 0,
        duplicated: 6,
        refused: 0,
        blank: 0,
        adopts: 0,
      };
      expect((await runSchedule(plan, unchanged)).violation).toBeUndefined();
    });

    it('applies nothing behind the fence when a state forgets heads while others are read', async () => {
      const plan = {
        seed: 873889969,
        steps: 196,
        apis: 3,
        projectors: 2,
        clients: 3,
        streams: 3,
        remembered: 1,
        verdictWait: 75,
        apart: false,
        crashes: 3,
        deaths: 8,
        pauses: 0,
        joins: 6,
        unknown: 0,
        duplicated: 2,
        refused: 0,
        blank: 1,
        adopts: 10,
      };
      expect((await runSchedule(plan, { ...unchanged, refusals: false })).violation).toBeUndefined();
    });

    it.each([
      ['the id is of a later head', withLaterHead],
      ['the version is of a later head', withLaterVersion],
    ])(
      'keeps every promise when a state is separated from its head, and %s',
      async (_, streams) => {
        await fc.assert(holds({ ...unchanged, refusals: false, streams }), { seed, numRuns: schedules / 10 });
      },
      600_000,
    );
  });
}
