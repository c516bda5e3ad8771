import { within } from '../concurrency/deadline.ts';
import { WakeSignal } from '../concurrency/wake-signal.ts';
import { reasonOf } from '../errors.ts';
import type { Stoppable } from '../lifecycle.ts';
import type { Leases, QueuedJob } from './leases.ts';
import type { InFlightJobs } from './in-flight.ts';

export interface RenewalOptions {
  readonly leases: Leases;
  readonly leaseMs: number;
  readonly hand: InFlightJobs;
  readonly report: (message: string) => void;
}

export interface Renewal extends Stoppable {
  /** Looks at once. */
  now(): void;
}

/** Parts of a lease's time: how often it is renewed, how long an answer is waited for, and when it is taken for lost. */
const [EVERY, ANSWERED_WITHIN, LOST_AFTER] = [0.25, 0.9, 0.75];

/** Holds on to what is leased, and breaks off what is no longer ours, before anybody else may take it. */
export function startRenewal({ leases, leaseMs, hand, report }: RenewalOptions): Renewal {
  /** Every lease that runs here was ours then, and is for its whole time after. */
  let renewedAt = performance.now();

  async function renew(): Promise<void> {
    const held = hand.runs();
    const began = performance.now();
    const left = Math.max(1, Math.floor(renewedAt + ANSWERED_WITHIN * leaseMs - began));
    const ours = await within(left, 'the answer', leases.renew(hand.jobIds()));
    renewedAt = began;
    for (const { job, interrupt } of held) {
      if (!ours.has(job.jobId)) interrupt('lease lost');
      else if (isOver(job, ours.get(job.jobId))) interrupt('job ended');
    }
  }

  return everyNowAndThen(EVERY * leaseMs, async () => {
    try {
      await renew();
    } catch (error) {
      report(`leases are not renewed: ${reasonOf(error)}`);
      if (performance.now() - renewedAt < LOST_AFTER * leaseMs) return;
      for (const { interrupt } of hand.runs()) interrupt('database away');
    }
  });
}

/** The queue may be behind what we know, never ahead of it unless somebody else went on. */
const isOver = ({ attempt }: QueuedJob, next: number | undefined) => next === undefined || next > attempt + 1;

function everyNowAndThen(ms: number, act: () => Promise<void>): Renewal {
  const bell = new WakeSignal();
  const stopping = new AbortController();
  const acting = (async () => {
    while (!stopping.signal.aborted) {
      await bell.wait(ms);
      await act();
    }
  })();
  return {
    now: () => bell.notify(),
    async stop() {
      stopping.abort();
      bell.notify();
      await acting;
    },
  };
}
