/** `half-open`: one call may find out whether the provider works again. */
export type BreakerState = 'closed' | 'half-open' | 'open';

/** When a breaker opens: at this share of failures (from 0 to 1) among the last `window` calls, which are at least `minCalls`. */
export interface Opening {
  readonly window: number;
  readonly minCalls: number;
  readonly share: number;
}

/** What a process has read and seen of one breaker. */
export interface Breaker {
  readonly state: BreakerState;
  /** Milliseconds until it becomes half-open; 0 when it is not open. */
  readonly openForMs: number;
  /** Of mail: the domain of the recipient at whom the last call failed. */
  readonly failedDomain: string | undefined;
  /** Whether each of the last calls failed, the oldest first. */
  readonly calls: readonly boolean[];
}

/** A breaker that is not closed, as its row says. */
export interface BreakerRow {
  readonly name: string;
  /** Negative once it may be half-open. */
  readonly openForMs: number;
  /** Whether a call is just finding out whether the provider works again. */
  readonly halfOpenTaken: boolean;
  readonly failedDomain: string | null;
}

export const CLOSED: Breaker = { state: 'closed', openForMs: 0, failedDomain: undefined, calls: [] };

/** Whether the change from one to the other ends the calls that are in flight. */
export const opens = (before: Pick<Breaker, 'state'>, after: Pick<Breaker, 'state'>): boolean =>
  before.state === 'closed' && after.state !== 'closed';

/** The calls before a breaker opens say nothing about the time after it. */
const moved = (before: Breaker, to: Omit<Breaker, 'calls'>): Breaker => ({
  ...to,
  calls: opens(before, to) ? [] : before.calls,
});

export const closed = (before: Breaker): Breaker =>
  moved(before, { state: 'closed', openForMs: 0, failedDomain: undefined });

export const opened = (before: Breaker, openForMs: number, failedDomain: string | undefined): Breaker =>
  moved(before, { state: 'open', openForMs, failedDomain });

/** Another process makes the half-open call. Until that has ended the breaker counts as open. */
export const halfOpenElsewhere = (before: Breaker): Breaker => ({ ...before, state: 'open' });

/** The breaker as its row says. */
export const fromRow = (before: Breaker, { openForMs, halfOpenTaken, failedDomain }: BreakerRow): Breaker =>
  moved(before, {
    state: openForMs > 0 || halfOpenTaken ? 'open' : 'half-open',
    openForMs,
    failedDomain: failedDomain ?? undefined,
  });

/** Adds the outcome of a call. */
export const withCall = (breaker: Breaker, failed: boolean, { window }: Opening): Breaker => ({
  ...breaker,
  calls: [...breaker.calls, failed].slice(-window),
});

/** Whether the last calls are enough of a failure. A success never opens a breaker. */
export const mustOpen = ({ calls }: Breaker, { minCalls, share }: Opening): boolean =>
  calls.at(-1) === true && calls.length >= minCalls && calls.filter(Boolean).length >= calls.length * share;
