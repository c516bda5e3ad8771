import type { AnyEvent } from '../../../events/events.ts';
import type { JobState } from '../../../projections/jobs.ts';

/** The status of a job after one of its events. */
export interface JobStatus {
  readonly state: JobState;
  readonly progress: { readonly done: number; readonly total: number; readonly failed: number };
  /** Number of the last started attempt; 0 before the first. */
  readonly attempt: number;
  /** Why the last attempt failed. */
  readonly error?: { readonly code: string; readonly message: string };
  /** ISO 8601: when the next attempt or occurrence is due. */
  readonly nextAt?: string;
  /** The occurrence of a repeating job that has just begun. */
  readonly occurrence?: string;
  /** The file that the job has made. */
  readonly fileId?: string;
}

export const initialStatus: JobStatus = { state: 'queued', progress: { done: 0, total: 0, failed: 0 }, attempt: 0 };

/** The status after an event. Fields that describe only one event, such as `error`, are not carried over to the next. */
export function evolveStatus({ state, progress, attempt }: JobStatus, event: AnyEvent): JobStatus {
  const lasting = { state, progress, attempt };
  switch (event.type) {
    case 'JobRequested':
    case 'JobRetried': {
      const { total, runAt, repeat } = event.request;
      const due = repeat?.first ?? runAt ?? undefined;
      const fresh = { done: 0, total: Math.max(total, progress.total), failed: 0 };
      return { state: due ? 'scheduled' : 'queued', progress: fresh, attempt, ...(due && { nextAt: due }) };
    }
    case 'JobAttemptStarted':
      return { ...lasting, state: 'running', attempt: event.attempt };
    case 'JobAttemptFailed':
      return { ...lasting, state: 'failed-retrying', error: reasonIn(event), nextAt: event.retryAt };
    case 'JobProgressed':
      return { ...lasting, progress: progressIn(event) };
    case 'JobCompleted':
      return {
        ...lasting,
        state: 'succeeded',
        progress: progressIn(event),
        ...(event.file && { fileId: event.file.fileId }),
      };
    case 'JobDied':
      return { ...lasting, state: 'dead', error: reasonIn(event) };
    case 'JobCancelled':
      return { ...lasting, state: 'cancelled' };
    case 'JobOccurred': {
      const { occurrenceId, next } = event;
      const now = { ...lasting, ...(occurrenceId !== null && { occurrence: occurrenceId }) };
      return next === null ? { ...now, state: 'succeeded' } : { ...now, state: 'scheduled', nextAt: next };
    }
    case 'JobRepeatChanged':
      return { ...lasting, nextAt: event.repeat.first };
    default:
      return lasting;
  }
}

const progressIn = ({ done, total, failed }: JobStatus['progress']) => ({ done, total, failed });
const reasonIn = ({ code, error }: { code: string; error: string }) => ({ code, message: error });
