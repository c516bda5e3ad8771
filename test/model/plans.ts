import fc from 'fast-check';
import type { Plan } from './world.ts';

const upTo = (max: number) => fc.integer({ min: 0, max });

/** Plans of all sizes; one that fails shrinks to fewer steps, fewer processes and fewer kinds of trouble. */
export const plans: fc.Arbitrary<Plan> = fc.record({
  seed: fc.noShrink(fc.noBias(fc.integer())),
  steps: fc.noBias(fc.integer({ min: 60, max: 240 })),
  apis: fc.integer({ min: 1, max: 3 }),
  projectors: fc.integer({ min: 1, max: 3 }),
  clients: fc.integer({ min: 1, max: 4 }),
  streams: fc.integer({ min: 1, max: 3 }),
  remembered: fc.integer({ min: 1, max: 3 }),
  verdictWait: fc.integer({ min: 30, max: 90 }),
  apart: fc.boolean(),
  crashes: upTo(15),
  deaths: upTo(10),
  pauses: upTo(20),
  joins: upTo(15),
  unknown: upTo(30),
  duplicated: upTo(30),
  refused: upTo(8),
  blank: upTo(40),
  adopts: fc.oneof(fc.constant(0), fc.integer({ min: 10, max: 59 })),
});
