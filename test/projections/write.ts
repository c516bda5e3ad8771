import { writeFileSync } from 'node:fs';
import { currentLock, LOCK_FILE, nextStep, readLock, SAME_ROWS } from './read-version.ts';

/**
 * `npm run read-version`: writes src/projections/read-version.lock.json after READ_VERSION was raised, or, with `-- --same-rows`, after
 * the code of a projection changed that makes the same rows.
 */
const [lock, current] = [readLock(), currentLock()];
const refusal = nextStep(lock, current, process.argv.includes(SAME_ROWS));
if (lock?.readVersion === current.readVersion && refusal !== undefined) {
  console.error(refusal);
  process.exitCode = 1;
} else {
  writeFileSync(LOCK_FILE, `${JSON.stringify(current, undefined, 2)}\n`);
}
