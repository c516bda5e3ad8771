import type { QueryConfig } from 'pg';
import { reasonOf } from '../errors.ts';
import { sleep } from '../concurrency/sleep.ts';
import type { Stoppable } from '../lifecycle.ts';
import type { Database } from '../postgres/pool.ts';
import { ProviderError } from '../providers/failure.ts';
import { JobFailure } from './job-type.ts';

/** `trial`: one call may find out whether it is well again. */
export type BreakerState = 'closed' | 'trial' | 'open';

/** Keeps work away from providers that keep failing. What one process finds out holds for all: it is a row in Postgres. */
export interface Breakers extends Stoppable {
  /** As of the last look, which is less than a second ago. */
  stateOf(name: string): BreakerState;
  /** Of mail: the domain at which the last call failed; a trial is made at another one where there is one. */
  failedDomainOf(name: string): string | undefined;
  /**
   * Calls a provider, unless its breaker is open. Whoever is refused, or is under way when it opens, gets a JobFailure
   * `later`: it was no attempt. `domain`: of a mail's recipient.
   */
  call<T>(name: string, signal: AbortSignal, act: (signal: AbortSignal) => Promise<T>, domain?: string): Promise<T>;
}

export interface BreakerOptions {
  /** The namespace's own tables. */
  readonly tables: Database;
  readonly openMs: number;
  readonly opening: Opening;
  readonly report: (message: string) => void;
}

/** When a breaker opens: at so large a part of failures (from 0 to 1) among the last `window` calls, which are at least `minCalls`. */
export interface Opening {
  readonly window: number;
  readonly minCalls: number;
  readonly share: number;
}

const LOOK_EVERY_MS = 500;
/** A trial that is not heard of for so long may be made by another. */
const TRIAL_MS = 60_000;
/** Until then each other runner has looked at its breakers and then for jobs, each of which it does every 500 ms. */
const OTHERS_FIRST_MS = 1_200;

interface Breaker {
  state: BreakerState;
  openForMs: number;
  failedDomain: string | undefined;
  /** Of the last calls: whether each failed. */
  readonly calls: boolean[];
  /** Ends what is under way when it opens. */
  underWay: AbortController;
}

interface BreakerRow {
  readonly name: string;
  readonly openForMs: number | null;
  readonly onTrial: boolean;
  readonly failedDomain: string | null;
}

const LOOK = `SELECT name, extract(epoch FROM open_until - now())::float8 * 1000 AS "openForMs", half_open_until > now() AS "onTrial",
    failed_domain AS "failedDomain" FROM breakers`;

const OPEN = `INSERT INTO breakers (name, open_until, opened_at, reason, failed_domain)
  VALUES ($1, now() + $2 * interval '1 ms', now(), $3, $4)
  ON CONFLICT (name) DO UPDATE SET open_until = excluded.open_until, opened_at = excluded.opened_at,
    reason = excluded.reason, failed_domain = excluded.failed_domain, half_open_until = '-infinity'`;

const TRY = `UPDATE breakers SET half_open_until = now() + $2 * interval '1 ms'
  WHERE name = $1 AND open_until <= now() AND half_open_until <= now() RETURNING name`;

/** A trial that found nothing out may be made again at once. */
const UNTRY = `UPDATE breakers SET half_open_until = '-infinity' WHERE name = $1`;

const CLOSE = `UPDATE breakers SET open_until = NULL, opened_at = NULL, failed_domain = NULL, half_open_until = '-infinity' WHERE name = $1`;

/** What a process knows of breakers. */
function createKnown({ window, minCalls, share }: Opening) {
  const breakers = new Map<string, Breaker>();

  function of(name: string): Breaker {
    const known = breakers.get(name);
    if (known) return known;
    const underWay = new AbortController();
    const breaker: Breaker = { state: 'closed', openForMs: 0, failedDomain: undefined, calls: [], underWay };
    breakers.set(name, breaker);
    return breaker;
  }

  function become(name: string, state: BreakerState, openForMs = 0, failedDomain?: string): void {
    const breaker = of(name);
    const opens = breaker.state === 'closed' && state !== 'closed';
    Object.assign(breaker, { state, openForMs, failedDomain });
    if (!opens) return;
    breaker.calls.length = 0;
    breaker.underWay.abort(new Error('its breaker has opened'));
    breaker.underWay = new AbortController();
  }

  return {
    of,
    become,
    /** What the rows say holds, of all breakers. */
    follow(rows: readonly BreakerRow[]): void {
      const open = rows.filter(({ openForMs }) => openForMs !== null);
      for (const { name, openForMs, onTrial, failedDomain } of open) {
        const ms = openForMs ?? 0;
        become(name, ms > 0 || onTrial ? 'open' : 'trial', ms, failedDomain ?? undefined);
      }
      const names = new Set(open.map(({ name }) => name));
      for (const name of breakers.keys()) if (!names.has(name)) become(name, 'closed');
    },
    /** Whether the last calls of it say that it is to open. */
    remember(name: string, failure: boolean): boolean {
      const { calls } = of(name);
      calls.push(failure);
      if (calls.length > window) calls.shift();
      return failure && calls.length >= minCalls && calls.filter(Boolean).length >= calls.length * share;
    },
  };
}

export function createBreakers({ tables, openMs, opening, report }: BreakerOptions): Breakers {
  const known = createKnown(opening);
  /** Changes of rows that are being made here, and that were: what was read meanwhile may be old. */
  let [changing, changed] = [0, 0];

  async function look(): Promise<void> {
    const before = changed;
    const rows = await tables.query<BreakerRow & Record<string, unknown>>({ name: 'look-at-breakers', text: LOOK });
    if (changing === 0 && changed === before) known.follow(rows);
  }

  /** What cannot be written down is known here alone, until the next look. */
  async function change(query: QueryConfig): Promise<void> {
    changing += 1;
    await tables.query(query).catch((error: unknown) => report(`breakers are not to be had: ${reasonOf(error)}`));
    changing -= 1;
    changed += 1;
  }

  async function open(name: string, why: string, domain?: string): Promise<void> {
    known.become(name, 'open', openMs, domain);
    report(`${name} keeps failing and is left alone for ${openMs / 1_000} s: ${why}`);
    await change({ name: 'open-breaker', text: OPEN, values: [name, openMs, why.slice(0, 300), domain] });
  }

  async function close(name: string): Promise<void> {
    known.become(name, 'closed');
    await change({ name: 'close-breaker', text: CLOSE, values: [name] });
    report(`${name} works again`);
  }

  /** Whether this call is the trial. What goes where the last one failed lets others go first, which may close it meanwhile. */
  async function admit(name: string, signal: AbortSignal, domain?: string): Promise<boolean> {
    const before = known.of(name);
    const isLast = before.state === 'trial' && domain !== undefined && domain === before.failedDomain;
    if (isLast) await sleep(OTHERS_FIRST_MS, signal);
    const { state, openForMs } = known.of(name);
    if (state === 'closed') return false;
    if (state === 'trial') {
      const query = { name: 'try-breaker', text: TRY, values: [name, TRIAL_MS] };
      const rows = await tables.query(query).catch(() => []);
      if (rows.length > 0) return true;
      known.of(name).state = 'open';
    }
    throw leftAlone(name, openForMs);
  }

  async function succeeded(name: string, trial: boolean): Promise<void> {
    if (trial) await close(name);
    else known.remember(name, false);
  }

  async function failed(name: string, trial: boolean, why: string, domain?: string): Promise<void> {
    if (trial || known.remember(name, true)) await open(name, why, domain);
  }

  /** What a call that threw says of its provider. One that is refused for what it asked was answered, no more. */
  async function judge(name: string, trial: boolean, error: unknown, domain?: string): Promise<void> {
    if (!isRefusal(error)) await failed(name, trial, reasonOf(error), domain);
    else if (trial) await close(name);
  }

  const stopping = new AbortController();
  const looking = (async () => {
    while (!stopping.signal.aborted) {
      await look().catch(() => undefined); // the next look tells; calls fail by themselves meanwhile
      await sleep(LOOK_EVERY_MS, stopping.signal);
    }
  })();

  return {
    stateOf: (name) => known.of(name).state,
    failedDomainOf: (name) => known.of(name).failedDomain,
    async call(name, signal, act, domain) {
      const trial = await admit(name, signal, domain);
      const { underWay } = known.of(name);
      let result;
      try {
        result = await act(AbortSignal.any([signal, underWay.signal]));
      } catch (error) {
        if (signal.aborted && trial) await change({ name: 'untry-breaker', text: UNTRY, values: [name] });
        if (signal.aborted) throw error;
        if (underWay.signal.aborted && !trial) throw leftAlone(name, known.of(name).openForMs);
        await judge(name, trial, error, domain);
        throw trial ? triedInVain(error, openMs) : error;
      }
      await succeeded(name, trial);
      return result;
    },
    async stop() {
      stopping.abort();
      await looking;
    },
  };
}

/** The provider is well: it has judged what was asked, for now or for good. */
const isRefusal = (error: unknown) => error instanceof ProviderError && error.kind !== 'again';

/** Those who are refused do not all come back at once. */
const leftAlone = (name: string, openForMs: number) =>
  new JobFailure('later', 'PROVIDER_LEFT_ALONE', `${name} keeps failing and is left alone`, {
    pauseMs: Math.max(0, openForMs) + Math.random() * 1_000,
  });

/** Whoever makes the trial is not the worse for it: few jobs would not outlast a long outage. */
const triedInVain = (error: unknown, pauseMs: number) => {
  if (isRefusal(error)) return error;
  const code = error instanceof ProviderError ? error.code : 'FAILED';
  return new JobFailure('later', code, reasonOf(error), { cause: error, pauseMs });
};
