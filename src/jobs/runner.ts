import { WakeSignal } from '../concurrency/wake-signal.ts';
import { reasonOf } from '../errors.ts';
import { sleep } from '../concurrency/sleep.ts';
import type { Stoppable } from '../lifecycle.ts';
import type { BreakerState } from './breakers.ts';
import type { Leases, QueuedJob } from './leases.ts';
import { startRenewal } from './renewal.ts';
import { createInFlightJobs, type HandleJob, type InFlightJobs } from './in-flight.ts';

interface Lane {
  readonly name: string;
  /** Of what its jobs need. */
  readonly state: BreakerState;
  /** Of mail: the domain at which the last call failed. */
  readonly failedDomain?: string | undefined;
}

export interface RunnerOptions {
  readonly leases: Leases;
  /** What may be worked on. */
  readonly lanes: () => readonly Lane[];
  readonly concurrency: number;
  readonly leaseMs: number;
  readonly handle: HandleJob;
  readonly report: (message: string) => void;
  /** Tests whose clock stands still bring their own. */
  readonly wait?: typeof sleep;
}

export interface Runner extends Stoppable {
  /** Something may be due. */
  wake(): void;
  /** A job may have ended that runs here. */
  look(): void;
  readonly running: number;
}

/** Without having been told, it looks so often. */
const LOOK_EVERY_MS = 500;
/** So often it asks whether the queue has heard of what is done. */
const LET_GO_EVERY_MS = 50;
/** What comes so soon after a job that runs is taken together: a turn costs the database as much for one job as for many. */
export const MOMENT_MS = 50;
const FINISH_WITHIN_MS = 5_000;

/** Leases jobs that are due, as many as there is room for, and holds on to them while they are worked on. */
export function startRunner({ handle, report, wait = sleep, ...options }: RunnerOptions): Runner {
  const { leases, leaseMs } = options;
  const stopping = new AbortController();
  const wakeSignal = new WakeSignal();
  const wake = () => wakeSignal.notify();
  const hand = createInFlightJobs(handle, report, wake);
  const taker = createTaker(options, hand, stopping.signal);

  async function turn(): Promise<void> {
    try {
      await hand.releaseFinished(leases, leaseMs);
      if (await taker.take()) return;
      const isNoHurry = hand.running > 0 && taker.mayTakeMore();
      const moment = isNoHurry ? wait(MOMENT_MS, stopping.signal) : undefined;
      await waitForBell(await taker.dueIn());
      await moment;
    } catch (error) {
      report(`no jobs are to be had: ${reasonOf(error)}`);
      await waitForBell(LOOK_EVERY_MS);
    }
  }

  const waitForBell = (ms: number) =>
    wakeSignal.wait(Math.min(LOOK_EVERY_MS, ms, hand.ended > 0 ? LET_GO_EVERY_MS : ms));

  const working = (async () => {
    while (!stopping.signal.aborted) await turn();
  })();
  const renewal = startRenewal({ leases, leaseMs, hand, report });

  return {
    wake,
    look: () => renewal.now(),
    get running() {
      return hand.running;
    },
    async stop() {
      stopping.abort();
      wake();
      await working;
      await finish(hand, wait);
      await renewal.stop();
      const held = hand.jobIds().map((jobId) => ({ jobId, version: 0 }));
      await leases.release(held).catch(() => undefined);
    },
  };
}

/** Leaves what runs some time to finish, and then breaks it off. */
async function finish(hand: InFlightJobs, wait: typeof sleep): Promise<void> {
  const patience = new AbortController();
  await Promise.race([hand.finished(), wait(FINISH_WITHIN_MS, patience.signal)]);
  patience.abort();
  for (const { interrupt } of hand.runs()) interrupt('process stops');
  await hand.finished();
}

type TakerOptions = Pick<RunnerOptions, 'leases' | 'lanes' | 'concurrency' | 'leaseMs'>;

/** So often, as a part of a lease's time, jobs are looked for whose worker is lost: it costs more the more jobs run. */
const LOST_EVERY = 0.05;

/** Takes jobs as long as there is room. */
function createTaker({ leases, lanes, concurrency, leaseMs }: TakerOptions, hand: InFlightJobs, stopping: AbortSignal) {
  let lookedForLostAt = -Infinity;
  let cameDueAt = -Infinity;
  const share = Math.ceil(concurrency / 2);
  const hasRoom = () => hand.running < concurrency;
  const begin = (job: QueuedJob) => (stopping.aborted ? hand.decline(job) : hand.begin(job));

  /** Places that each account has. */
  function heldNow(): Map<string, number> {
    const held = new Map<string, number>();
    for (const { job } of hand.runs()) held.set(job.ownerId, (held.get(job.ownerId) ?? 0) + 1);
    return held;
  }

  function takeOf(closed: readonly string[], room: number): Promise<QueuedJob[]> {
    const now = performance.now();
    const lost = now - lookedForLostAt >= LOST_EVERY * leaseMs;
    if (lost) lookedForLostAt = now;
    return leases.take(closed, room, { lost, share, held: heldNow() });
  }

  /** One job finds out whether what its lane needs is well again. */
  async function tryOut(tried: readonly Lane[]): Promise<void> {
    const running = new Set(hand.runs().map(({ job }) => job.lane));
    for (const { name, failedDomain: otherDomainThan } of tried) {
      if (!running.has(name) && hasRoom()) (await leases.take([name], 1, { otherDomainThan })).forEach(begin);
    }
  }

  return {
    /** The last place is kept free of an account that has its share: the others are all that it can have. */
    mayTakeMore: () => hand.running < concurrency - (Math.max(0, ...heldNow().values()) >= share ? 1 : 0),
    /** Returns whether there may be more. */
    async take(): Promise<boolean> {
      const usable = lanes();
      const closed = usable.filter(isClosed).map(({ name }) => name);
      const room = concurrency - hand.running;
      const jobs = room > 0 && closed.length > 0 ? await takeOf(closed, room) : [];
      jobs.forEach(begin);
      await tryOut(usable.filter(({ state }) => state === 'trial'));
      return jobs.length > 0 && jobs.length === room && hasRoom();
    },
    /** Milliseconds until there may be something to take. */
    async dueIn(): Promise<number> {
      const now = performance.now();
      // Without room as well: what has just come due must not wait behind what was due before.
      if (!hasRoom() && now - cameDueAt < LOOK_EVERY_MS) return LOOK_EVERY_MS;
      cameDueAt = now;
      const ms = await leases.comeDue();
      return hasRoom() ? Math.max(1, ms ?? LOOK_EVERY_MS) : LOOK_EVERY_MS;
    },
  };
}

const isClosed = ({ state }: Lane) => state === 'closed';
