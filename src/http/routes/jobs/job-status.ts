import type { AnyEvent } from '../../../events/events.ts';
import type { JobState } from '../../../projections/jobs.ts';

/** A job as one of its events leaves it. */
export interface JobStatus {
  readonly state: JobState;
  readonly progress: { readonly done: number; readonly total: number; readonly failed: number };
  /** The last one that was started; 0 when none was. */
  readonly attempt: number;
  /** Why the last attempt did not do it. */
  readonly error?: { readonly code: string; readonly message: string };
  /** ISO 8601: when the next attempt or occurrence is due. */
  readonly nextAt?: string;
  /** The occurrence of a repeating job that has just begun. */
  readonly occurrence?: string;
  /** That it has made. */
  readonly fileId?: string;
}

export const initialStatus: JobStatus = { state: 'queued', progress: { done: 0, total: 0, failed: 0 }, attempt: 0 };

/** What an event makes of a job. Whatever is said of one moment alone is not said again of the next. */
export function evolveStatus({ state, progress, attempt }: JobStatus, event: AnyEvent): JobStatus {
  const as = { state, progress, attempt };
  switch (event.type) {
    case 'JobRequested':
    case 'JobRetried': {
      const { total, runAt, repeat } = event.request;
      const due = repeat?.first ?? runAt ?? undefined;
      const fresh = { done: 0, total: Math.max(total, progress.total), failed: 0 };
      return { state: due ? 'scheduled' : 'queued', progress: fresh, attempt, ...(due && { nextAt: due }) };
    }
    case 'JobAttemptStarted':
      return { ...as, state: 'running', attempt: event.attempt };
    case 'JobAttemptFailed':
      return { ...as, state: 'failed-retrying', error: reasonIn(event), nextAt: event.retryAt };
    case 'JobProgressed':
      return { ...as, progress: progressIn(event) };
    case 'JobCompleted':
      return {
        ...as,
        state: 'succeeded',
        progress: progressIn(event),
        ...(event.file && { fileId: event.file.fileId }),
      };
    case 'JobDied':
      return { ...as, state: 'dead', error: reasonIn(event) };
    case 'JobCancelled':
      return { ...as, state: 'cancelled' };
    case 'JobOccurred': {
      const { occurrenceId, next } = event;
      const now = { ...as, ...(occurrenceId !== null && { occurrence: occurrenceId }) };
      return next === null ? { ...now, state: 'succeeded' } : { ...now, state: 'scheduled', nextAt: next };
    }
    case 'JobRepeatChanged':
      return { ...as, nextAt: event.repeat.first };
    default:
      return as;
  }
}

const progressIn = ({ done, total, failed }: JobStatus['progress']) => ({ done, total, failed });
const reasonIn = ({ code, error }: { code: string; error: string }) => ({ code, message: error });
