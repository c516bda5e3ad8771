import { expect } from '@jest/globals';
import type { FaultPoint } from '../../src/faults.ts';
import { seedOfRun } from './distributed.ts';
import type { ReplaceableApp, Role } from './replaceable-app.ts';
import type { Operation } from './history/index.ts';
import { within } from './servers/waiting.ts';

/** Every crash point, and the process that dies there. */
export const crashPoints: readonly (readonly [FaultPoint, Role])[] = [
  ['before-append', 'api'],
  ['after-append', 'api'],
  ['before-commit', 'projector'],
  ['after-marks', 'projector'],
  ['before-release', 'projector'],
  ['after-commit', 'projector'],
];

const CHOICES = 60;
const WITHIN_MS = 60_000;
const MORE = { writes: 20, reads: 20 };

/** Lets a process die at the point while clients write and read, and replaces it: every promise must be kept. */
export async function crashAndRecover(doomed: ReplaceableApp, point: FaultPoint, role: Role): Promise<void> {
  const seed = seedOfRun();
  const nth = 1 + (seed % CHOICES);
  process.stdout.write(`SEED=${seed}: SIGKILL at ${point} number ${nth}\n`);
  const { recorder } = doomed;
  const victim = doomed.process(role);
  await victim.armAt(point, nth);
  const history = await recorder.record({ seed }, async (load) => {
    expect(await within(WITHIN_MS, 'to die', victim.ended)).toBe('SIGKILL');
    await doomed.replace(role);
    await load.served(MORE, WITHIN_MS);
  });
  expect(history.operations.filter(wasCutOff)).not.toHaveLength(0);
  expect(await recorder.check(history)).toEqual([]);
}

const wasCutOff = ({ attempts }: Operation) => attempts.some(({ outcome }) => outcome.kind === 'unknown');
