import { randomInt } from 'node:crypto';
import { withResources } from '../src/cli/with-resources.ts';
import { initLog } from '../src/log/init.ts';
import { fill } from './generator/fill.ts';
import { generate } from './generator/generator.ts';

export interface GenerateOptions {
  readonly events: number;
  readonly seed?: number;
}

/**
 * Appends generated events to the log that the environment names, and creates that log if it does not exist. Without a seed each
 * run uses another one, because the same records a second time would all be rejected.
 */
export function generateInto({ events, seed = randomInt(2 ** 31) }: GenerateOptions): Promise<number> {
  return withResources({ as: 'lone-command' }, async ({ log, placement, admin, me, print }) => {
    await initLog({ log, placement, database: admin, me });
    const began = performance.now();
    print(`Generating ${events.toLocaleString('en')} events with --seed ${seed}.`);
    await fill(log, generate({ placement, seed, events }));
    const seconds = (performance.now() - began) / 1_000;
    print(`Appended in ${seconds.toFixed(1)} s, ${Math.round(events / seconds).toLocaleString('en')} events/s.`);
    return 0;
  });
}
