import { it } from '@jest/globals';
import fc from 'fast-check';
import { type Plan, unchanged } from './world.ts';
import { holds } from './arbitration-suite.ts';
const variants: [string, Partial<Plan>][] = [
  ['a', { projectors: 3, crashes: 60, streams: 1, remembered: 1, apart: false }],
  ['b', { projectors: 3, crashes: 60, streams: 1, joins: 15, deaths: 0 }],
  ['c', { projectors: 3, crashes: 60, streams: 3, remembered: 1, joins: 10, steps: 240, naps: 20 }],
  ['d', { projectors: 2, crashes: 100, streams: 2, remembered: 1, joins: 5, steps: 240, clients: 4 }],
  ['e', { projectors: 3, crashes: 40, streams: 1, remembered: 1, steps: 400, clients: 4, unknown: 0, refused: 0 }],
];
it('x', async () => {
  for (const [name, emphasis] of variants) {
    const runs: (number|string)[] = [];
    for (let seed = 1; seed <= 5; seed++) {
      const found = await fc.check(holds({ ...unchanged, headsAtCheckpoint: false }, emphasis), { seed: seed * 7919, numRuns: 800, endOnFailure: true });
      runs.push(found.failed ? found.numRuns : '-');
    }
    process.stdout.write(`${name} ${JSON.stringify(emphasis)} ${runs.join(' ')}\n`);
  }
}, 600000);
