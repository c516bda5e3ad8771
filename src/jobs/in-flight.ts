import { reasonOf } from '../errors.ts';
import type { Held, Leases, QueuedJob } from './leases.ts';

/** Why work is interrupted. While the database is away leases cannot be renewed, so other workers may take the job once it is back. */
export type Interruption = 'lease lost' | 'database away' | 'job ended' | 'process stops';

/** Nothing was recorded of a job. No worker may take it for this time. */
export interface Postponed {
  /** Milliseconds. */
  readonly pauseMs: number;
}

/** Works on one job. Resolves to the version that the job's stream has after it. */
export type HandleJob = (job: QueuedJob, signal: AbortSignal) => Promise<number | Postponed>;

export interface Run {
  readonly job: QueuedJob;
  interrupt(why: Interruption): void;
}

interface RunInFlight extends Run {
  readonly done: Promise<void>;
}

/** A run that has ended. Its job stays leased until the queue has applied the outcome. */
interface Finished extends Held {
  /** When it ended, in milliseconds of `performance.now()`. */
  readonly at: number;
  /** No worker may take the job for so many milliseconds after that. */
  readonly pauseMs: number;
}

/** The jobs that a process has leased. */
export interface InFlightJobs {
  readonly running: number;
  /** Jobs that are done, and are leased only because the queue may not have applied the outcome. */
  readonly finishedCount: number;
  runs(): readonly Run[];
  /** Ids of all jobs that are leased. */
  jobIds(): string[];
  begin(job: QueuedJob): void;
  /** Holds a leased job that is not begun. */
  decline(job: QueuedJob): void;
  /** Releases the leases of jobs whose outcome the queue has applied. */
  releaseFinished(leases: Leases, leaseMs: number): Promise<void>;
  /** Resolves when nothing runs. */
  finished(): Promise<unknown>;
}

/** The pause after an attempt of which nothing was recorded. */
const UNRECORDED_MS = 1_000;

/** Jobs that are done and still leased. */
function createFinishedJobs() {
  let finished: Finished[] = [];
  const isPaused = ({ at, pauseMs }: Finished) => performance.now() - at < pauseMs;
  const releasable = () => finished.filter((each) => !isPaused(each));
  return {
    jobIds: () => finished.map(({ jobId }) => jobId),
    releasable,
    add({ jobId, version: before }: QueuedJob, outcome: number | Postponed): void {
      const version = typeof outcome === 'number' ? outcome : before;
      const unrecordedMs = typeof outcome === 'number' ? UNRECORDED_MS : outcome.pauseMs;
      finished.push({ jobId, version, at: performance.now(), pauseMs: version <= before ? unrecordedMs : 0 });
    },
    drop(jobIds: readonly string[]): void {
      const dropped = new Set(jobIds);
      finished = finished.filter(({ jobId }) => !dropped.has(jobId));
    },
  };
}

/** `onEnd` is called each time that a run ends. */
export function createInFlightJobs(
  handle: HandleJob,
  report: (message: string) => void,
  onEnd: () => void,
): InFlightJobs {
  const runs = new Set<RunInFlight>();
  const finished = createFinishedJobs();
  const runsOf = (jobId: string) => [...runs].filter(({ job }) => job.jobId === jobId);

  async function work(job: QueuedJob, signal: AbortSignal): Promise<number | Postponed> {
    try {
      return await handle(job, signal);
    } catch (error) {
      report(`${job.jobId} could not be worked on and is tried again later: ${reasonOf(error)}`);
      return job.version + 1;
    }
  }

  function end(run: RunInFlight, outcome: number | Postponed): void {
    runs.delete(run);
    if (runsOf(run.job.jobId).length === 0) finished.add(run.job, outcome);
    onEnd();
  }

  return {
    get running() {
      return runs.size;
    },
    get finishedCount() {
      return finished.releasable().length;
    },
    runs: () => [...runs],
    jobIds: () => [...[...runs].map(({ job }) => job.jobId), ...finished.jobIds()],
    begin(job) {
      // The job was leased again, so an earlier run of it here has lost its lease.
      finished.drop([job.jobId]);
      for (const run of runsOf(job.jobId)) run.interrupt('lease lost');
      const control = new AbortController();
      const run: RunInFlight = {
        job,
        interrupt: (why) => control.abort(why),
        done: work(job, control.signal).then((outcome) => end(run, outcome)),
      };
      runs.add(run);
    },
    decline: (job) => finished.add(job, 0),
    async releaseFinished(leases, leaseMs) {
      const now = performance.now();
      const held = finished.releasable();
      if (held.length === 0) return;
      // After a lease's time the queue may never come to that version, because nothing was recorded.
      const asked = held.map(({ jobId, version, at }) => ({ jobId, version: now - at > leaseMs ? 0 : version }));
      finished.drop(await leases.release(asked));
    },
    finished: () => Promise.all([...runs].map(({ done }) => done)),
  };
}
