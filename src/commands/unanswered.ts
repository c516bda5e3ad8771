import { type AppError, unavailable } from '../errors.ts';
import type { Settled } from '../event-store/verdicts.ts';

/** The error of a command on the stream whose verdict is neither won nor lost. */
export function unanswered(stream: string, verdict: Settled): AppError {
  switch (verdict.kind) {
    case 'quarantined':
      return unavailable('STREAM_QUARANTINED', `${stream} is closed until an operator releases it.`);
    case 'stopped':
      return unavailable(
        'PROJECTION_STOPPED',
        'This part of the data takes no changes until an operator has looked at it.',
      );
    default:
      return unavailable(
        'OUTCOME_UNKNOWN',
        'It is not known yet whether this happened. Retry with the same Idempotency-Key.',
      );
  }
}
