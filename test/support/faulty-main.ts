import type { FaultPoint, Faults, JobFaultPoint } from '../../src/faults.ts';
import { run } from '../../src/run.ts';

/**
 * OpenMusic that kills itself: with `FAULT=before-commit:37`, when it reaches that point for the 37th time. With
 * `FAULT=before-commit:37:SIGSTOP` it only stops there. With `FAULT=before-commit:armed:SIGSTOP` it does so the next time
 * after each SIGUSR2. Without `FAULT` it kills itself at the point of jobs that its parent has named last.
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
  const points: readonly JobFaultPoint[] = ['before-mail', 'after-mail', 'before-record', 'after-record'];
  let named: unknown;
  process.on('message', (point) => {
    named = point;
    process.send?.('armed');
  });
  const dieAt = (point: JobFaultPoint) => () => {
    if (point === named) process.kill(process.pid, 'SIGKILL');
  };
  return Object.fromEntries(points.map((point) => [point, dieAt(point)]));
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
