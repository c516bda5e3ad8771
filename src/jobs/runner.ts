import { within } from '../concurrency/deadline.ts';
import { pollUntil } from '../concurrency/poll.ts';
import { WakeSignal } from '../concurrency/wake-signal.ts';
import { reasonOf } from '../errors.ts';
import { sleep } from '../concurrency/sleep.ts';
import type { Stoppable } from '../lifecycle.ts';
import type { BreakerState } from './breaker-state.ts';
import type { Leases, QueuedJob } from './leases.ts';
import { startRenewal } from './renewal.ts';
import { createInFlightJobs, type HandleJob, type InFlightJobs } from './in-flight.ts';

/** Jobs that need the same providers. */
interface Lane {
  readonly name: string;
  /** Of the providers that its jobs need. */
  readonly state: BreakerState;
  /** For a mail provider: the domain of the last failed call. */
  readonly failedDomain?: string | undefined;
}

export interface RunnerOptions {
  readonly leases: Leases;
  /** The lanes of this group, as they are now. */
  readonly lanes: () => readonly Lane[];
  readonly concurrency: number;
  readonly leaseMs: number;
  readonly handle: HandleJob;
  readonly report: (message: string) => void;
  /** A test with a fake clock passes its own. */
  readonly wait?: typeof sleep;
}

export interface Runner extends Stoppable {
  /** Call it when a job may be due. */
  wake(): void;
  /** Call it when a job that runs here may have ended. */
  recheck(): void;
  readonly running: number;
}

/** How often it looks for due jobs without a wake signal. */
const POLL_EVERY_MS = 500;
/** How often it asks whether the queue has applied the outcome of finished jobs. */
const RELEASE_EVERY_MS = 50;
/** Jobs that come due within this time are taken in one turn, because a turn costs the database as much for one job as for many. */
export const COALESCE_MS = 50;
const FINISH_WITHIN_MS = 5_000;

/** Leases as many due jobs as there is room for, and renews the leases while the jobs are worked on. */
export function startRunner({ handle, report, wait = sleep, ...options }: RunnerOptions): Runner {
  const { leases, leaseMs } = options;
  const stopping = new AbortController();
  const wakeSignal = new WakeSignal();
  const wake = () => wakeSignal.notify();
  const inFlight = createInFlightJobs(handle, report, wake);
  const taker = createTaker(options, inFlight, stopping.signal);

  /** Ends when further jobs that come due are taken with those that came before. */
  let moment: Promise<void> | undefined;
  let dueInMs = POLL_EVERY_MS;

  async function turn(signal: AbortSignal): Promise<void> {
    [dueInMs, moment] = [POLL_EVERY_MS, undefined];
    do await inFlight.releaseFinished(leases, leaseMs);
    while ((await taker.take()) && !signal.aborted);
    const canWait = inFlight.running > 0 && taker.mayTakeMore();
    moment = canWait ? wait(COALESCE_MS, signal) : undefined;
    dueInMs = await taker.dueIn();
  }

  async function waitForWork(ms: number, signal: AbortSignal): Promise<void> {
    const releasesIn = inFlight.finishedCount > 0 ? RELEASE_EVERY_MS : ms;
    await wakeSignal.wait(Math.min(POLL_EVERY_MS, ms, releasesIn), signal);
    await moment;
  }

  const working = pollUntil(stopping.signal, turn, {
    everyMs: () => dueInMs,
    wait: waitForWork,
    onFailure: (error) => report(`jobs cannot be leased: ${reasonOf(error)}`),
  });
  const renewal = startRenewal({ leases, leaseMs, inFlight, report });

  return {
    wake,
    recheck: () => renewal.renewNow(),
    get running() {
      return inFlight.running;
    },
    async stop() {
      stopping.abort();
      await working;
      await finish(inFlight);
      await renewal.stop();
      const held = inFlight.jobIds().map((jobId) => ({ jobId, version: 0 }));
      await leases.release(held).catch(() => undefined);
    },
  };
}

/** Gives running jobs some time to finish, and then interrupts them. */
async function finish(inFlight: InFlightJobs): Promise<void> {
  await within(FINISH_WITHIN_MS, 'finishing', inFlight.finished()).catch(() => undefined);
  for (const { interrupt } of inFlight.runs()) interrupt('process stops');
  await inFlight.finished();
}

type TakerOptions = Pick<RunnerOptions, 'leases' | 'lanes' | 'concurrency' | 'leaseMs'>;

/** Jobs of lost workers are searched for after this share of a lease's time, because the search gets slower with every running job. */
const LOST_EVERY = 0.05;

/** Leases jobs as long as there is room. */
function createTaker(
  { leases, lanes, concurrency, leaseMs }: TakerOptions,
  inFlight: InFlightJobs,
  stopping: AbortSignal,
) {
  let lookedForLostAt = -Infinity;
  let cameDueAt = -Infinity;
  const share = Math.ceil(concurrency / 2);
  const hasRoom = () => inFlight.running < concurrency;
  const begin = (job: QueuedJob) => (stopping.aborted ? inFlight.decline(job) : inFlight.begin(job));

  /** How many places each account holds. */
  function heldNow(): Map<string, number> {
    const held = new Map<string, number>();
    for (const { job } of inFlight.runs()) held.set(job.ownerId, (held.get(job.ownerId) ?? 0) + 1);
    return held;
  }

  function takeOf(closed: readonly string[], room: number): Promise<QueuedJob[]> {
    const now = performance.now();
    const lost = now - lookedForLostAt >= LOST_EVERY * leaseMs;
    if (lost) lookedForLostAt = now;
    return leases.take(closed, room, { lost, share, held: heldNow() });
  }

  /** One job of each half-open lane finds out whether its provider works again. */
  async function takeHalfOpen(halfOpen: readonly Lane[]): Promise<void> {
    const running = new Set(inFlight.runs().map(({ job }) => job.lane));
    for (const { name, failedDomain: otherDomainThan } of halfOpen) {
      if (!running.has(name) && hasRoom()) (await leases.take([name], 1, { otherDomainThan })).forEach(begin);
    }
  }

  return {
    /** False when only one place is free and an account holds its full share, because the last place is for another account. */
    mayTakeMore: () => inFlight.running < concurrency - (Math.max(0, ...heldNow().values()) >= share ? 1 : 0),
    /** Resolves to true when more jobs may be due and there is room for them. */
    async take(): Promise<boolean> {
      const usable = lanes();
      const closed = usable.filter(isClosed).map(({ name }) => name);
      const room = concurrency - inFlight.running;
      const jobs = room > 0 && closed.length > 0 ? await takeOf(closed, room) : [];
      jobs.forEach(begin);
      await takeHalfOpen(usable.filter(({ state }) => state === 'half-open'));
      return jobs.length > 0 && jobs.length === room && hasRoom();
    },
    /** Milliseconds until there may be something to take. */
    async dueIn(): Promise<number> {
      const now = performance.now();
      // Runs without a free place too, so that a job which has just come due does not wait behind those that were due before.
      if (!hasRoom() && now - cameDueAt < POLL_EVERY_MS) return POLL_EVERY_MS;
      cameDueAt = now;
      const ms = await leases.comeDue();
      return hasRoom() ? Math.max(1, ms ?? POLL_EVERY_MS) : POLL_EVERY_MS;
    },
  };
}

const isClosed = ({ state }: Lane) => state === 'closed';
