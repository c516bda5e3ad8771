import type { FaultPoint, Faults, JobFaultPoint } from '../../src/faults.ts';
import { run } from '../../src/main.ts';

const POINTS: readonly (FaultPoint | JobFaultPoint)[] = [
  ...(['before-append', 'after-append', 'before-commit', 'after-marks', 'before-release', 'after-commit'] as const),
  ...(['before-publish', 'after-publish'] as const),
  ...(['before-mail', 'after-mail', 'before-record', 'after-record'] as const),
];

/**
 * OpenMusic that kills itself: with `FAULT=before-commit:37`, when it reaches that point for the 37th time. With
 * `FAULT=before-commit:37:SIGSTOP` it only stops there. With `FAULT=before-commit:armed:SIGSTOP` it does so the next time
 * after each SIGUSR2. Without `FAULT` its parent sends it the point and the number, counted from then on.
 */
run(process.env.FAULT === undefined ? faultsByMessage() : faultsOf(process.env.FAULT));

function faultsOf(text: string): Faults {
  const [point, nth, signal = 'SIGKILL'] = text.split(':');
  const isDue = nth === 'armed' ? whenArmed() : atNumber(Number(nth));
  const die = () => {
    if (isDue()) process.kill(process.pid, signal);
  };
  return { [point as FaultPoint]: die };
}

function faultsByMessage(): Faults {
  let [armed, left] = ['', 0];
  process.on('message', ([point, nth]: [string, number]) => {
    [armed, left] = [point, nth];
    process.send?.('armed');
  });
  const comeTo = (point: string) => () => {
    if (point === armed && --left === 0) process.kill(process.pid, 'SIGKILL');
  };
  return Object.fromEntries(POINTS.map((point) => [point, comeTo(point)]));
}

function atNumber(nth: number): () => boolean {
  let reached = 0;
  return () => ++reached === nth;
}

function whenArmed(): () => boolean {
  let armed = false;
  process.on('SIGUSR2', () => (armed = true));
  return () => {
    const isDue = armed;
    armed = false;
    return isDue;
  };
}
