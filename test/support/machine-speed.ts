import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';

/** Does some milliseconds of work every 40 ms, and prints the 95th percentile of its times once its input ends. */
const PROGRAM = `
  const { createHash } = require('node:crypto');
  const times = [];
  const work = () => {
    const due = performance.now() + 40;
    setTimeout(() => {
      for (let round = 0, digest = ''; round < 2_000; round++) digest = createHash('sha256').update(digest).digest('hex');
      times.push(performance.now() - due);
      work();
    }, 40);
  };
  work();
  process.stdin.resume().on('end', () => {
    times.sort((one, other) => one - other);
    process.stdout.write(String(times[Math.floor(times.length * 0.95)] ?? 0), () => process.exit());
  });`;

/**
 * The result of some work, and the speed of the machine meanwhile: the milliseconds of a small calculation in an
 * independent process. Other tests slow it down as they slow down ours, so two times can be compared by it.
 */
export async function withMachineSpeed<T>(
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly paceMs: number }> {
  const process = spawn(globalThis.process.execPath, ['-e', PROGRAM], { stdio: ['pipe', 'pipe', 'inherit'] });
  const printed = text(process.stdout);
  try {
    const result = await work();
    process.stdin.end();
    return { result, paceMs: Number(await printed) };
  } finally {
    process.kill();
  }
}
