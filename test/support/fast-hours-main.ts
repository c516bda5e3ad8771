import { syncBuiltinESMExports } from 'node:module';
import timers from 'node:timers/promises';

/** OpenMusic with every wait of a minute or more shortened to half a second; it logs each of them. */
const LONG_MS = 60_000;
const { setTimeout: wait } = timers;

async function hurry(ms?: number, ...rest: [value?: unknown, options?: object]): Promise<unknown> {
  if (ms === undefined || ms < LONG_MS) return wait(ms, ...rest);
  await wait(500, ...rest);
  process.stdout.write('{"level":30,"msg":"an hour passed"}\n');
  return rest[0];
}

timers.setTimeout = hurry as typeof wait;
Math.random = () => 0.5; // the first sweep comes after this part of an hour
syncBuiltinESMExports();

const { run } = await import('../../src/main.ts');
run({});
