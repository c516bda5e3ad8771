import { expect } from '@jest/globals';
import type { FaultPoint } from '../../src/faults.ts';
import { seedOfRun } from './distributed.ts';
import type { Doomed } from './doomed.ts';
import { checkServed, type Operation, recordHistory } from './history/index.ts';
import { within } from './servers/waiting.ts';

/** Every crash point, and who dies there. */
export const crashPoints = Object.entries({
  'before-append': 'api',
  'after-append': 'api',
  'before-commit': 'projector',
  'after-marks': 'projector',
  'before-release': 'projector',
  'after-commit': 'projector',
} satisfies Record<FaultPoint, 'api' | 'projector'>);

/** More often than a start by itself comes to a point. */
const FIRST = 20;
const CHOICES = 60;
const WITHIN_MS = 60_000;
const MORE = { writes: 20, reads: 20 };

/** Lets a process die at the point while clients write and read, and puts another in its place: no promise may be broken. */
export async function dieAndRecover(point: string, start: (fault: string) => Promise<Doomed>): Promise<void> {
  const seed = seedOfRun();
  const nth = FIRST + (seed % CHOICES);
  process.stdout.write(`SEED=${seed}: SIGKILL at ${point} number ${nth}\n`);
  const doomed = await start(`${point}:${nth}`);
  try {
    const { env, urls } = doomed;
    const history = await recordHistory({ urls, seed }, async (load) => {
      expect(await within(WITHIN_MS, 'to die', doomed.died)).toBe('SIGKILL');
      await doomed.replace();
      await load.served(MORE, WITHIN_MS);
    });
    expect(history.operations.filter(wasCutOff)).not.toHaveLength(0);
    expect(await checkServed(history, { env, urls })).toEqual([]);
  } finally {
    await doomed.stop();
  }
}

const wasCutOff = ({ attempts }: Operation) => attempts.some(({ outcome }) => outcome.kind === 'unknown');
