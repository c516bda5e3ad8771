import { within } from '../concurrency/deadline.ts';
import { poll } from '../concurrency/poll.ts';
import { WakeSignal } from '../concurrency/wake-signal.ts';
import { reasonOf } from '../errors.ts';
import type { Stoppable } from '../lifecycle.ts';
import type { Leases, QueuedJob } from './leases.ts';
import type { InFlightJobs } from './in-flight.ts';

export interface RenewalOptions {
  readonly leases: Leases;
  readonly leaseMs: number;
  readonly inFlight: InFlightJobs;
  readonly report: (message: string) => void;
}

export interface Renewal extends Stoppable {
  /** Renews without waiting for the next turn. */
  renewNow(): void;
}

/** Parts of a lease's time: how often it is renewed, how long the answer may take, and after which time it counts as lost. */
const [EVERY, ANSWERED_WITHIN, LOST_AFTER] = [0.25, 0.9, 0.75];

/** Renews the leases, and interrupts jobs that are no longer leased here before another worker may take them. */
export function startRenewal({ leases, leaseMs, inFlight, report }: RenewalOptions): Renewal {
  /** When every lease was renewed last. Each holds for its whole time after that. */
  let renewedAt = performance.now();

  async function renew(): Promise<void> {
    const held = inFlight.runs();
    const began = performance.now();
    const left = Math.max(1, Math.floor(renewedAt + ANSWERED_WITHIN * leaseMs - began));
    const ours = await within(left, 'the answer', leases.renew(inFlight.jobIds()));
    renewedAt = began;
    for (const { job, interrupt } of held) {
      if (!ours.has(job.jobId)) interrupt('lease lost');
      else if (isOver(job, ours.get(job.jobId))) interrupt('job ended');
    }
  }

  const wakeSignal = new WakeSignal();
  const renewing = poll(renew, {
    firstMs: EVERY * leaseMs,
    everyMs: EVERY * leaseMs,
    wait: (ms, signal) => wakeSignal.wait(ms, signal),
    onFailure(error) {
      report(`leases cannot be renewed: ${reasonOf(error)}`);
      if (performance.now() - renewedAt < LOST_AFTER * leaseMs) return;
      for (const { interrupt } of inFlight.runs()) interrupt('database away');
    },
  });
  return { renewNow: () => wakeSignal.notify(), stop: () => renewing.stop() };
}

/** The queue may be behind this run. It is ahead only when the job has ended or another worker has gone on with it. */
const isOver = ({ attempt }: QueuedJob, next: number | undefined) => next === undefined || next > attempt + 1;
