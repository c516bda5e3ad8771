import { reasonOf } from '../errors.ts';
import { sleep, type Stoppable } from '../lifecycle.ts';
import type { BreakerState } from './breakers.ts';
import type { Held, Leases, QueuedJob } from './leases.ts';

/** Why work is broken off. */
export type Interruption = 'lease lost' | 'job ended' | 'process stops';

export interface RunnerOptions {
  readonly leases: Leases;
  /** What may be worked on, each lane with the state of what it needs. */
  readonly lanes: () => readonly { readonly name: string; readonly state: BreakerState }[];
  readonly concurrency: number;
  readonly leaseMs: number;
  /** Works on one job. Resolves to the version that the job's stream has after it. Never rejects. */
  readonly handle: (job: QueuedJob, signal: AbortSignal) => Promise<number>;
  readonly report: (message: string) => void;
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
const IN_VAIN_MS = 1_000;
const FINISH_WITHIN_MS = 5_000;

interface Run {
  readonly job: QueuedJob;
  readonly control: AbortController;
  readonly done: Promise<void>;
}

/** Done, but leased until the queue has heard of it. */
interface Ended extends Held {
  /** When, in milliseconds of `performance.now()`. */
  readonly at: number;
  /** Nothing became of it: it is left alone for a moment. */
  readonly inVain: boolean;
}

/** Leases jobs that are due, as many as there is room for, and holds on to them while they are worked on. */
export function startRunner({ leases, lanes, concurrency, leaseMs, handle, report }: RunnerOptions): Runner {
  const runs = new Set<Run>();
  let ended: Ended[] = [];
  const stopping = new AbortController();
  let bell = Promise.withResolvers<void>();
  const ring = () => bell.resolve();

  function begin(job: QueuedJob): void {
    const { jobId } = job;
    if (stopping.signal.aborted) {
      leave(job, 0);
      return;
    }
    // Whatever of this job is still here had a lease that has run out.
    ended = ended.filter((each) => each.jobId !== jobId);
    for (const { control } of runsOf(jobId)) interrupt(control, 'lease lost');
    const control = new AbortController();
    const run: Run = { job, control, done: work(job, control.signal).then((version) => end(run, version)) };
    runs.add(run);
  }

  const runsOf = (jobId: string) => [...runs].filter(({ job }) => job.jobId === jobId);

  async function work(job: QueuedJob, signal: AbortSignal): Promise<number> {
    try {
      return await handle(job, signal);
    } catch (error) {
      report(`${job.jobId} is left for later: ${reasonOf(error)}`);
      return job.version + 1;
    }
  }

  function end(run: Run, version: number): void {
    runs.delete(run);
    if (runsOf(run.job.jobId).length === 0) leave(run.job, version);
    ring();
  }

  function leave({ jobId, version: before }: QueuedJob, version: number): void {
    ended.push({ jobId, version, at: performance.now(), inVain: version <= before });
  }

  /** Takes what is due. Returns whether there may be more. */
  async function take(): Promise<boolean> {
    let more = false;
    const usable = lanes();
    const closed = usable.filter(isClosed).map(({ name }) => name);
    const room = concurrency - runs.size;
    if (room > 0 && closed.length > 0) {
      const jobs = await leases.take(closed, room);
      jobs.forEach(begin);
      more = jobs.length === room;
    }
    const tried = new Set([...runs].map(({ job }) => job.lane));
    for (const { name, state } of usable) {
      if (state === 'trial' && !tried.has(name) && runs.size < concurrency)
        (await leases.take([name], 1)).forEach(begin);
    }
    return more && runs.size < concurrency;
  }

  /** What the queue has not heard of after a lease's time it may never hear of: nothing was recorded. */
  async function letGo(): Promise<void> {
    const now = performance.now();
    const held = ended.filter(({ at, inVain }) => !inVain || now - at >= IN_VAIN_MS);
    if (held.length === 0) return;
    const asked = held.map(({ jobId, version, at }) => ({ jobId, version: now - at > leaseMs ? 0 : version }));
    const gone = new Set(await leases.release(asked));
    ended = ended.filter(({ jobId }) => !gone.has(jobId));
  }

  async function turn(): Promise<void> {
    bell = Promise.withResolvers();
    try {
      await letGo();
      if (await take()) return;
      await waitForBell(await dueIn());
    } catch (error) {
      report(`no jobs are to be had: ${reasonOf(error)}`);
      await waitForBell(LOOK_EVERY_MS);
    }
  }

  async function dueIn(): Promise<number> {
    if (runs.size >= concurrency) return LOOK_EVERY_MS;
    const closed = lanes().filter(isClosed);
    const ms = await leases.nextIn(closed.map(({ name }) => name));
    return Math.max(1, ms ?? LOOK_EVERY_MS);
  }

  async function waitForBell(ms: number): Promise<void> {
    const timer = new AbortController();
    const soonest = Math.min(LOOK_EVERY_MS, ms, ended.length > 0 ? LET_GO_EVERY_MS : ms);
    await Promise.race([bell.promise, sleep(soonest, timer.signal)]);
    timer.abort();
  }

  /** Every lease that runs here was ours then, and is for its whole time after. */
  let renewedAt = performance.now();

  /** Holds on to what runs, and breaks off what is no longer ours. */
  async function renew(): Promise<void> {
    const held = [...runs];
    const began = performance.now();
    try {
      const ids = [...held.map(({ job }) => job.jobId), ...ended.map(({ jobId }) => jobId)];
      const ours = await answerWithin(renewedAt + 0.9 * leaseMs - began, leases.renew(ids));
      renewedAt = began;
      for (const { job, control } of held) {
        if (!ours.has(job.jobId)) interrupt(control, 'lease lost');
        else if (isOver(job, ours.get(job.jobId))) interrupt(control, 'job ended');
      }
    } catch (error) {
      report(`leases are not renewed: ${reasonOf(error)}`);
      // Sooner than anybody else may take them.
      if (performance.now() - renewedAt >= 0.75 * leaseMs)
        for (const { control } of runs) interrupt(control, 'lease lost');
    }
  }

  const working = (async () => {
    while (!stopping.signal.aborted) await turn();
  })();
  const renewing = everyNowAndThen(leaseMs / 4, renew);

  return {
    wake: ring,
    look: () => renewing.now(),
    get running() {
      return runs.size;
    },
    async stop() {
      stopping.abort();
      ring();
      await working;
      const all = Promise.all([...runs].map(({ done }) => done));
      const patience = new AbortController();
      await Promise.race([all, sleep(FINISH_WITHIN_MS, patience.signal)]);
      patience.abort();
      for (const { control } of runs) interrupt(control, 'process stops');
      await all;
      await renewing.stop();
      await leases.release(ended.map(({ jobId }) => ({ jobId, version: 0 }))).catch(() => undefined);
    },
  };
}

const isClosed = ({ state }: { readonly state: BreakerState }) => state === 'closed';

/** The queue may be behind what we know, never ahead of it unless somebody else went on. */
const isOver = ({ attempt }: QueuedJob, next: number | undefined) => next === undefined || next > attempt + 1;

function interrupt(control: AbortController, why: Interruption): void {
  control.abort(why);
}

/** The work's answer; rejects when there is none by then. */
async function answerWithin<T>(ms: number, work: Promise<T>): Promise<T> {
  const timer = new AbortController();
  const late = sleep(Math.max(1, ms), timer.signal).then(() => {
    throw new Error('no answer in time');
  });
  late.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    timer.abort();
  }
}

function everyNowAndThen(ms: number, act: () => Promise<void>) {
  const stopping = new AbortController();
  let bell = Promise.withResolvers<void>();
  const acting = (async () => {
    while (!stopping.signal.aborted) {
      const timer = new AbortController();
      await Promise.race([bell.promise, sleep(ms, AbortSignal.any([stopping.signal, timer.signal]))]);
      timer.abort();
      bell = Promise.withResolvers();
      await act();
    }
  })();
  return {
    now: () => bell.resolve(),
    async stop() {
      stopping.abort();
      await acting;
    },
  };
}
