import { writeFileSync } from 'node:fs';
import { currentLock, LOCK_FILE, nextStep, readLock } from './read-version.ts';

/** `npm run read-version`: writes src/projections/read-version.lock.json after READ_VERSION was raised. */
const [lock, current] = [readLock(), currentLock()];
if (lock?.readVersion === current.readVersion && nextStep(lock, current) !== undefined) {
  console.error(nextStep(lock, current));
  process.exitCode = 1;
} else {
  writeFileSync(LOCK_FILE, `${JSON.stringify(current, undefined, 2)}\n`);
}
