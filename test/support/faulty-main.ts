import type { FaultPoint, Faults } from '../../src/faults.ts';
import { run } from '../../src/run.ts';

/**
 * OpenMusic that kills itself: with `FAULT=before-commit:37`, when it reaches that point for the 37th time. With
 * `FAULT=before-commit:37:SIGSTOP` it only stops there.
 */
run(faultsOf(process.env.FAULT ?? ''));

function faultsOf(text: string): Faults {
  const [point, nth, signal = 'SIGKILL'] = text.split(':');
  let reached = 0;
  const die = () => {
    if (++reached === Number(nth)) process.kill(process.pid, signal);
  };
  return { [point as FaultPoint]: die };
}
