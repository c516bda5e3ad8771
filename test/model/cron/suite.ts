import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { nextTime } from '../../../src/jobs/cron.ts';
import { type Expression, shapes } from './expressions.ts';
import { byElapsedTime, changesOf, minutesAround, type ClockMinute, onceForEachMinute } from './minutes.ts';

const seed = Number(process.env.SEED ?? Date.now()) | 0;

/** On each side of a change: at most two hours are left out or come twice. */
const HOURS = 3;

/** The product's results for these times, each of which occurs once at most. */
function timesOf(cron: string, timeZone: string, minutes: readonly ClockMinute[]): Date[] {
  const [first, last] = [minutes[0]?.time ?? new Date(0), minutes.at(-1)?.time ?? new Date(0)];
  const times: Date[] = [];
  let next = nextTime(cron, timeZone, new Date(first.getTime() - 1));
  for (; next && next <= last && times.length <= minutes.length; next = nextTime(cron, timeZone, next))
    times.push(next);
  return times;
}

/** The calls begin before the change and soon after it, when an hour may have begun for the second time. */
function expectAlike(
  timeZone: string,
  { cron, goesByElapsedTime, matches }: Expression,
  minutes: readonly ClockMinute[],
) {
  const expected = (goesByElapsedTime ? byElapsedTime : onceForEachMinute)(minutes, matches);
  for (const asked of [minutes, minutes.slice(minutes.length / 2 + 20)]) {
    const [{ time: first } = { time: new Date(0) }] = asked;
    const times = timesOf(cron, timeZone, asked);
    expect({ timeZone, cron, times }).toEqual({ timeZone, cron, times: expected.filter((time) => time >= first) });
  }
}

interface CronOptions {
  /** Number of zones to test; all of the runtime by default. */
  readonly zones?: number;
  /** Zones that are always among them. */
  readonly always?: readonly string[];
  /** Expressions at each change. */
  readonly expressions: number;
}

/** All clock changes of 2024 to 2034 in this many zones: the product against a reference that counts minutes. */
export function cronSuite({ zones, always = [], expressions }: CronOptions): void {
  it('expressions fire at clock changes as in a reference that counts every minute', () => {
    process.stdout.write(`cron model: SEED=${seed}\n`);
    const all = Intl.supportedValuesOf('timeZone');
    const some = zones === undefined ? all : fc.sample(fc.constantFrom(...all), { seed, numRuns: zones });
    const made = fc.sample(shapes, { seed, numRuns: 10_000 });
    let tried = 0;
    for (const timeZone of new Set([...always, ...some])) {
      for (const change of changesOf(timeZone)) {
        const minutes = minutesAround(timeZone, change, HOURS);
        for (let left = expressions; left > 0; left--) {
          const shape = made[tried++ % made.length];
          if (shape) expectAlike(timeZone, shape(minutes), minutes);
        }
      }
    }
    expect(tried).toBeGreaterThan(always.length * 10);
  }, 600_000);
}
