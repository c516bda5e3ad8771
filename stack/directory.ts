import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { Stoppable } from '../src/lifecycle.ts';
import { type Lock, tryLock } from './lock.ts';
import { problemWith, type WantedPort } from './ports.ts';
import type { StackSettings } from './settings.ts';
import { until } from './waiting.ts';

/** Locks the stack's directory for this process, and checks that its ports are free. */
export async function takeDirectory(settings: StackSettings, hold: (lock: Stoppable) => void): Promise<void> {
  const { directory, logs, wanted } = settings;
  await mkdir(logs, { recursive: true });
  const lock = await tryLock(path.join(directory, 'lock'));
  if (lock.kind === 'held') {
    throw new Error(`${directory} is in use by another stack (pid ${lock.pid}): stop it, or set another DATA_DIR`);
  }
  hold({ stop: () => lock.release() });
  await refuseTakenPorts(wanted, lock);
}

/** The programs of a killed stack are killed too, which takes a moment. Only its Postgres may stay, which the next stack ends. */
const LEFT_OVER_MS = 10_000;

async function refuseTakenPorts(wanted: readonly WantedPort[], { inherited }: Lock): Promise<void> {
  const asked = inherited ? wanted.filter(({ setting }) => setting !== 'PGPORT') : wanted;
  let problem: string | undefined;
  const free = async () => (problem = await problemWith(asked)) === undefined;
  await until(free, inherited ? LEFT_OVER_MS : 0, () => problem ?? '');
}
