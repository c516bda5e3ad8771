/**
 * What can go wrong, in terms of the domain. Only `http/errors.ts` knows the HTTP status of each kind.
 *
 * - `rejected`: the command is not possible in the present state (HTTP 400).
 * - `not-found`: the thing does not exist (404).
 * - `forbidden`: the caller may not do this (403).
 * - `conflict`: the command lost every race it ran (409).
 * - `stale`: the version that the caller requires is no longer the current one (412).
 * - `reused`: the idempotency key belongs to another request (422).
 * - `too-large`: the record would not fit the log (413).
 * - `too-many`: the limit is reached (429).
 * - `unavailable`: the outcome is unknown, or the request cannot be carried out now; the caller may try again (503).
 */
export type ErrorKind =
  'rejected' | 'not-found' | 'forbidden' | 'conflict' | 'stale' | 'reused' | 'too-large' | 'too-many' | 'unavailable';

export class AppError extends Error {
  readonly kind: ErrorKind;
  /** Stable, upper snake case, documented in docs/reference/errors.md. */
  readonly code: string;
  /** Seconds after which another try makes sense; only of `unavailable` and `too-many`. */
  readonly retryAfter: number | undefined;

  constructor(kind: ErrorKind, code: string, message: string, options: { cause?: unknown; retryAfter?: number } = {}) {
    super(message, { cause: options.cause });
    this.name = 'AppError';
    this.kind = kind;
    this.code = code;
    this.retryAfter = options.retryAfter;
  }
}

export const notFound = (code: string, message: string) => new AppError('not-found', code, message);
export const forbidden = (message: string) => new AppError('forbidden', 'FORBIDDEN', message);
/** 403 for an action of admins. It says how an account becomes one, because the client meets the rule here. */
export const adminsOnly = (action: string) =>
  forbidden(
    `Only accounts with the role admin may ${action}. An operator grants it with: openmusic accounts grant-admin <username>`,
  );
export const keyReused = () =>
  new AppError('reused', 'IDEMPOTENCY_KEY_REUSED', 'This Idempotency-Key was used with another body.');
export const unavailable = (code: string, message: string, cause?: unknown, retryAfter = 1) =>
  new AppError('unavailable', code, message, { cause, retryAfter });

/** An error as it is logged, without what libraries add to theirs, such as the values of a query. */
export function loggedError(thrown: unknown): unknown {
  if (!(thrown instanceof Error)) return String(thrown);
  const { name, message, stack, cause } = thrown;
  const code = 'code' in thrown ? thrown.code : undefined;
  return { type: name, message, code, stack, ...(cause !== undefined && { cause: loggedError(cause) }) };
}

/** The text of a thrown value. Node throws one error for each address of a host name, and no common message. */
export function reasonOf(thrown: unknown): string {
  if (thrown instanceof AggregateError && thrown.message === '') return thrown.errors.map(reasonOf).join('; ');
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The request is not carried out, because its client has left before its turn. */
export const clientLeft = () => new AppError('rejected', 'CLIENT_LEFT', 'The client did not wait for its answer.');
