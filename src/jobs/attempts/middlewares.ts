import type { Logger } from 'pino';
import { Counter, Histogram, type Registry } from 'prom-client';
import { within } from '../../concurrency/deadline.ts';
import { AppError, reasonOf } from '../../errors.ts';
import type { JobCommand } from '../../commands/job.ts';
import type { JobFile } from '../../events/jobs.ts';
import type { Faults } from '../../faults.ts';
import { AppendError, type EventLog } from '../../log/event-log.ts';
import { deadLettersOf } from '../../log/topics.ts';
import { backoffMs, type Pauses, pausesOfJob } from '../backoff.ts';
import { JobFailure, type JobOutcome } from '../job-type.ts';
import type { NoteRefusal } from '../refusals.ts';
import type { Placement } from '../../events/placement.ts';
import { partitionOf } from '../../events/placement.ts';
import { ProviderError } from '../../providers/failure.ts';
import { withoutAddresses } from '../../providers/mail/address.ts';
import { type Attempt, type Ending, infrastructureFailure, type Middleware } from './attempt.ts';
import { untilAppended } from './until-appended.ts';

/** Logs how each attempt ended, and counts it. */
export function logged(logger: Logger, registry: Registry): Middleware {
  const registers = [registry];
  const attempts = new Counter({
    name: 'openmusic_job_attempts_total',
    help: 'Attempts at jobs, by type and by how they ended.',
    labelNames: ['type', 'ending'],
    registers,
  });
  const seconds = new Histogram({
    name: 'openmusic_job_attempt_seconds',
    help: 'How long attempts at jobs took.',
    labelNames: ['type'],
    buckets: [0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600],
    registers,
  });
  return (next) => async (attempt) => {
    const { job, number } = attempt;
    const stop = seconds.startTimer({ type: job.jobType });
    const ending = await next(attempt);
    stop();
    attempts.inc({ type: job.jobType, ending: ending.kind });
    const about = { job: job.jobId, type: job.jobType, attempt: number };
    if (ending.kind === 'died') logger.error({ ...about, code: ending.code }, `a job was given up: ${ending.error}`);
    else if (ending.kind === 'failed' && ending.counts)
      logger.warn({ ...about, code: ending.code }, `an attempt failed: ${ending.error}`);
    else logger.debug({ ...about, ending: ending.kind }, 'an attempt ended');
    return ending;
  };
}

/** Records that the attempt begins, and how it ended. Nothing is done before the beginning is accepted. */
export const recorded =
  (worker: string, faults: Faults = {}): Middleware =>
  (next) =>
  async (attempt) => {
    const { events } = attempt;
    const last = isExhausted(attempt) ? { ...attempt, number: attempt.number - 1 } : attempt;
    try {
      if (last === attempt) await events.append({ type: 'StartAttempt', worker });
      const ending = await next(last);
      const command = commandOf(last, ending);
      faults['before-record']?.();
      if (command) await events.append(command);
      faults['after-record']?.();
      return ending;
    } catch (error) {
      if (error instanceof AppError) return { kind: 'lost' };
      throw error;
    }
  };

const WORKER_LOST: Ending = {
  kind: 'died',
  code: 'WORKER_LOST',
  error: 'The worker was lost in each of its attempts.',
};

/** The attempt that was lost with its worker was the job's last one. */
const isExhausted = ({ job }: Attempt) => job.abandoned && job.counted + 1 >= job.allowed;

function commandOf({ job, number: attempt }: Attempt, ending: Ending): JobCommand | undefined {
  switch (ending.kind) {
    case 'completed':
      return { type: 'Complete', attempt, ...completion(job.jobId, job.total, ending.outcome) };
    case 'failed': {
      const { code, error, counts, pauseMs } = ending;
      const retryAt = new Date(Date.now() + pauseMs).toISOString();
      return { type: 'FailAttempt', attempt, code, error, counts, retryAt };
    }
    case 'died':
      return { type: 'GiveUp', attempt, code: ending.code, error: ending.error };
    case 'lost':
      return undefined;
  }
}

function completion(jobId: string, planned: number, { file, result = {}, ...progress }: JobOutcome) {
  const { total = planned, failed = 0 } = progress;
  const { done = total - failed } = progress;
  const made: JobFile | null = file ? { ...file, fileId: fileIdOf(jobId) } : null;
  return { done, total, failed, file: made, result: JSON.stringify(result) };
}

/** A job makes one file at most, so the file's id derives from the job's. */
const fileIdOf = (jobId: string) => jobId.replace(/^job-/, 'file-');

/** Appends a dead letter before the job's own end is recorded. So a reader of the topic may see the letter twice. */
export const deadLettered =
  (log: EventLog, { namespace, partitions }: Placement): Middleware =>
  (next) =>
  async (attempt) => {
    const ending = await next(attempt);
    if (ending.kind !== 'died') return ending;
    const { job, number } = attempt;
    const letter = {
      jobId: job.jobId,
      jobType: job.jobType,
      ownerId: job.ownerId,
      attempt: number,
      code: ending.code,
      error: ending.error,
      time: new Date().toISOString(),
    };
    const record = {
      key: job.jobId,
      value: Buffer.from(JSON.stringify(letter)),
      headers: { 'content-type': 'application/json' },
    };
    const letters = [{ topic: deadLettersOf(namespace), partition: partitionOf(job.jobId, partitions), record }];
    // Giving up while the log is away would cost the job another attempt, and the reason of its death.
    const mayTryAgain = (error: unknown) => error instanceof AppendError && !attempt.signal.aborted;
    await untilAppended(() => log.append(letters), mayTryAgain, attempt.signal);
    return ending;
  };

/** Turns an error into an ending: another attempt, or none. A job that has used up its attempts is not worked on. */
export const retried =
  (pauses: Pauses, noteRefusal: NoteRefusal): Middleware =>
  (next) =>
  async (attempt) => {
    if (isExhausted(attempt)) return WORKER_LOST;
    try {
      return await next(attempt).catch((error: unknown) => deferred(error, attempt, noteRefusal));
    } catch (error) {
      return endingOf(error, attempt, pauses);
    }
  };

/** When the recipient of the job's mail is refused for now, the job is tried again in minutes or hours, until that has lasted too long. */
async function deferred(
  thrown: unknown,
  { job: { jobId }, signal }: Attempt,
  noteRefusal: NoteRefusal,
): Promise<never> {
  if (signal.aborted || !(thrown instanceof ProviderError) || thrown.kind !== 'deferred') throw thrown;
  const pauseMs = await noteRefusal({ jobId });
  const kind = pauseMs === undefined ? 'permanent' : 'deferred';
  throw new JobFailure(kind, thrown.code, thrown.message, { cause: thrown, pauseMs });
}

function endingOf(thrown: unknown, { job, signal, number }: Attempt, pauses: Pauses): Ending {
  if (signal.reason === 'database away')
    return {
      kind: 'failed',
      code: 'DATABASE_UNAVAILABLE',
      error: 'The database was not available.',
      counts: false,
      pauseMs: 0,
    };
  if (signal.aborted && signal.reason !== 'process stops') return { kind: 'lost' };
  if (signal.aborted)
    return { kind: 'failed', code: 'WORKER_STOPPED', error: 'The worker was stopped.', counts: false, pauseMs: 0 };
  const { kind, code } = classOf(thrown);
  const error = withoutAddresses(reasonOf(thrown));
  if (kind === 'deferred') {
    const { pauseMs = outageMs(pauses, number - job.counted) } = thrown as JobFailure;
    return { kind: 'failed', code, error, counts: false, pauseMs };
  }
  const counted = job.counted + (job.abandoned ? 1 : 0) + 1;
  if (kind === 'permanent' || counted >= job.allowed) return { kind: 'died', code, error };
  return { kind: 'failed', code, error, counts: true, pauseMs: backoffMs(pausesOfJob(job.backoff), counted) };
}

/** The longest pause after an attempt that an outage ended, however long the outage was. */
const OUTAGE_MAX_MS = 60_000;

/**
 * The pause after so many attempts that did not count. It grows with each of them, and has jitter. Attempts that were deferred by a
 * refused recipient or by waiting items are among them, so such a job has a longer pause.
 */
const outageMs = ({ firstMs, maxMs }: Pauses, attempts: number) =>
  backoffMs({ firstMs, maxMs: Math.min(maxMs, OUTAGE_MAX_MS) }, attempts);

function classOf(thrown: unknown): Pick<JobFailure, 'kind' | 'code'> {
  if (thrown instanceof JobFailure || thrown instanceof ProviderError) return thrown;
  const code = infrastructureFailure(thrown);
  return code === undefined ? { kind: 'retryable', code: 'FAILED' } : { kind: 'deferred', code };
}

/** An attempt that takes longer than this fails. */
export const timed =
  (ms: number): Middleware =>
  (next) =>
  async (attempt) => {
    const tooLong = new AbortController();
    const failure = new JobFailure('retryable', 'TOO_SLOW', 'The attempt took too long.');
    const signal = AbortSignal.any([attempt.signal, tooLong.signal]);
    try {
      return await within(ms, () => failure, next({ ...attempt, signal }));
    } catch (error) {
      // Only now, or the attempt would reject with another error first.
      if (error === failure) tooLong.abort(failure);
      throw error;
    }
  };
