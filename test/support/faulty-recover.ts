import { logRecover } from '../../src/cli/recover.ts';
import type { RecoveryFaultPoint } from '../../src/faults.ts';

/** `log recover --answer <argument>` that kills itself when it reaches the point in `FAULT` for the first time. */
const point = process.env.FAULT as RecoveryFaultPoint;
process.exitCode = await logRecover(
  { answer: process.argv[2] },
  { [point]: () => process.kill(process.pid, 'SIGKILL') },
);
