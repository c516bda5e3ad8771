import { reasonOf } from '../errors.ts';
import type { Held, Leases, QueuedJob } from './leases.ts';

/** Why work is broken off. While the database is away leases cannot be renewed, and others may take the job once it is back. */
export type Interruption = 'lease lost' | 'database away' | 'job ended' | 'process stops';

/** Nothing became of a job: for so many milliseconds nobody is to take it. */
export interface LeftAlone {
  readonly leaveMs: number;
}

/** Works on one job. Resolves to the version that the job's stream has after it. */
export type HandleJob = (job: QueuedJob, signal: AbortSignal) => Promise<number | LeftAlone>;

export interface Run {
  readonly job: QueuedJob;
  interrupt(why: Interruption): void;
}

interface RunUnderWay extends Run {
  readonly done: Promise<void>;
}

/** Done, but leased until the queue has heard of it. */
interface Ended extends Held {
  /** When, in milliseconds of `performance.now()`. */
  readonly at: number;
  /** For so long after it nobody is to take it. */
  readonly leaveMs: number;
}

/** The jobs that a process has leased. */
export interface InFlightJobs {
  readonly running: number;
  /** Those that are done, and are still leased only because the queue may not have heard of it. */
  readonly ended: number;
  runs(): readonly Run[];
  /** Of all that are leased. */
  jobIds(): string[];
  begin(job: QueuedJob): void;
  /** Does not even begin it. */
  decline(job: QueuedJob): void;
  /** Gives up leases of what the queue has heard of. */
  releaseFinished(leases: Leases, leaseMs: number): Promise<void>;
  /** Resolves when nothing runs any more. */
  finished(): Promise<unknown>;
}

/** What nothing became of is left alone for a moment. */
const IN_VAIN_MS = 1_000;

/** `onEnd` is called whenever there is room again. */
export function createInFlightJobs(
  handle: HandleJob,
  report: (message: string) => void,
  onEnd: () => void,
): InFlightJobs {
  const runs = new Set<RunUnderWay>();
  let ended: Ended[] = [];

  const runsOf = (jobId: string) => [...runs].filter(({ job }) => job.jobId === jobId);

  async function work(job: QueuedJob, signal: AbortSignal): Promise<number | LeftAlone> {
    try {
      return await handle(job, signal);
    } catch (error) {
      report(`${job.jobId} is left for later: ${reasonOf(error)}`);
      return job.version + 1;
    }
  }

  function end(run: RunUnderWay, outcome: number | LeftAlone): void {
    runs.delete(run);
    if (runsOf(run.job.jobId).length === 0) leave(run.job, outcome);
    onEnd();
  }

  function leave({ jobId, version: before }: QueuedJob, outcome: number | LeftAlone): void {
    const version = typeof outcome === 'number' ? outcome : before;
    const inVainMs = typeof outcome === 'number' ? IN_VAIN_MS : outcome.leaveMs;
    ended.push({ jobId, version, at: performance.now(), leaveMs: version <= before ? inVainMs : 0 });
  }

  const isLeft = ({ at, leaveMs }: Ended) => performance.now() - at < leaveMs;

  return {
    get running() {
      return runs.size;
    },
    get ended() {
      return ended.filter((each) => !isLeft(each)).length;
    },
    runs: () => [...runs],
    jobIds: () => [...[...runs].map(({ job }) => job.jobId), ...ended.map(({ jobId }) => jobId)],
    begin(job) {
      // Whatever of this job is still here had a lease that has run out.
      ended = ended.filter(({ jobId }) => jobId !== job.jobId);
      for (const run of runsOf(job.jobId)) run.interrupt('lease lost');
      const control = new AbortController();
      const run: RunUnderWay = {
        job,
        interrupt: (why) => control.abort(why),
        done: work(job, control.signal).then((outcome) => end(run, outcome)),
      };
      runs.add(run);
    },
    decline: (job) => leave(job, 0),
    async releaseFinished(leases, leaseMs) {
      const now = performance.now();
      const held = ended.filter((each) => !isLeft(each));
      if (held.length === 0) return;
      // What the queue has not heard of after a lease's time it may never hear of: nothing was recorded.
      const asked = held.map(({ jobId, version, at }) => ({ jobId, version: now - at > leaseMs ? 0 : version }));
      const gone = new Set(await leases.release(asked));
      ended = ended.filter(({ jobId }) => !gone.has(jobId));
    },
    finished: () => Promise.all([...runs].map(({ done }) => done)),
  };
}
