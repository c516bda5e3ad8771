import { reasonOf } from '../errors.ts';
import { poll } from '../concurrency/poll.ts';
import { sleep } from '../concurrency/sleep.ts';
import type { Stoppable } from '../lifecycle.ts';
import type { Database } from '../postgres/pool.ts';
import { ProviderError } from '../providers/failure.ts';
import { breakerRows } from './breaker-rows.ts';
import {
  type Breaker,
  type BreakerRow,
  type BreakerState,
  CLOSED,
  closed,
  fromRow,
  halfOpenElsewhere,
  mustOpen,
  opened,
  type Opening,
  opens,
  withCall,
} from './breaker-state.ts';
import { JobFailure } from './job-type.ts';

/** Circuit breakers of providers. Their state is a row in Postgres for each, so all processes share what one has found out. */
export interface Breakers extends Stoppable {
  /** The state as this process last read or changed it; it reads every 500 ms while Postgres answers. */
  stateOf(name: string): BreakerState;
  /** For a mail provider: the domain of the last failed call. A half-open call goes to another domain if there is a mail for one. */
  failedDomainOf(name: string): string | undefined;
  /**
   * Calls a provider, unless its breaker is open. A call that is refused, or that is in flight when the breaker opens, rejects with
   * a deferred JobFailure, because it was no attempt. `domain`: of a mail's recipient.
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

const POLL_EVERY_MS = 500;
/** Within this time every other runner has read the breakers and then leased jobs. It does each every 500 ms. */
const OTHERS_FIRST_MS = 1_200;

interface Entry {
  breaker: Breaker;
  /** Ends the calls in flight when the breaker opens. */
  inFlight: AbortController;
}

/** The breakers that this process has met. */
function createRegistry() {
  const entries = new Map<string, Entry>();

  function entryOf(name: string): Entry {
    const entry = entries.get(name) ?? { breaker: CLOSED, inFlight: new AbortController() };
    entries.set(name, entry);
    return entry;
  }

  function set(name: string, after: Breaker): void {
    const entry = entryOf(name);
    const { breaker: before, inFlight } = entry;
    entry.breaker = after;
    if (!opens(before, after)) return;
    entry.inFlight = new AbortController();
    inFlight.abort(new Error('the breaker of the provider has opened'));
  }

  return {
    of: (name: string): Breaker => entryOf(name).breaker,
    inFlight: (name: string): AbortSignal => entryOf(name).inFlight.signal,
    set,
    /** Applies the rows. A breaker without a row is closed. */
    follow(rows: readonly BreakerRow[]): void {
      for (const row of rows) set(row.name, fromRow(entryOf(row.name).breaker, row));
      const names = new Set(rows.map(({ name }) => name));
      for (const [name, { breaker }] of entries) if (!names.has(name)) set(name, closed(breaker));
    },
  };
}

type Registry = ReturnType<typeof createRegistry>;

/** Writes changes of this process, and discards rows that were read before such a change was written. */
function createRowAccess(report: BreakerOptions['report']) {
  /** The number of changes in progress, and of finished ones. Rows that were read during a change may be older than it. */
  let [changing, changed] = [0, 0];
  return {
    /** A change that cannot be written applies only to this process, and only until the rows are read again. */
    async change(written: Promise<unknown>): Promise<void> {
      changing += 1;
      await written.catch((error: unknown) => report(`a breaker cannot be written: ${reasonOf(error)}`));
      changing -= 1;
      changed += 1;
    },
    /** Resolves to undefined when the rows may be older than a change of this process. */
    async read<T>(read: () => Promise<T>): Promise<T | undefined> {
      const before = changed;
      const rows = await read();
      return changing === 0 && changed === before ? rows : undefined;
    },
  };
}

/** Changes breakers in this process and in their rows. */
function createChanges({ tables, openMs, opening, report }: BreakerOptions, registry: Registry) {
  const rows = breakerRows(tables);
  const { change, read } = createRowAccess(report);

  async function open(name: string, reason: string, domain: string | undefined): Promise<void> {
    registry.set(name, opened(registry.of(name), openMs, domain));
    report(`${name} keeps failing and is left alone for ${openMs / 1_000} s: ${reason}`);
    await change(rows.open(name, openMs, reason, domain));
  }

  return {
    open,
    async close(name: string): Promise<void> {
      registry.set(name, closed(registry.of(name)));
      await change(rows.close(name));
      report(`${name} works again`);
    },
    leaveHalfOpen: (name: string) => change(rows.leaveHalfOpen(name)),
    takeHalfOpen: (name: string) => rows.takeHalfOpen(name).catch(() => false),
    /** Remembers a call, and opens the breaker when that was one failure too many. */
    async remember(name: string, failure?: { readonly reason: string; readonly domain: string | undefined }) {
      const breaker = withCall(registry.of(name), failure !== undefined, opening);
      registry.set(name, breaker);
      if (failure && mustOpen(breaker, opening)) await open(name, failure.reason, failure.domain);
    },
    async read(): Promise<void> {
      const all = await read(rows.read);
      if (all) registry.follow(all);
    },
  };
}

type Changes = ReturnType<typeof createChanges>;

/** A call that its breaker has admitted. `halfOpen`: its outcome closes the breaker or opens it again. */
interface Admitted {
  readonly name: string;
  readonly domain: string | undefined;
  readonly halfOpen: boolean;
}

/** Decides whether a call may be made, and whether its outcome counts against the provider. */
function createGate(registry: Registry, changes: Changes, openMs: number) {
  return {
    /** A call to the domain of the last failure waits first, because a call to another domain may close the breaker meanwhile. */
    async admit(name: string, signal: AbortSignal, domain: string | undefined): Promise<Admitted> {
      const before = registry.of(name);
      const goesLast = before.state === 'half-open' && domain !== undefined && domain === before.failedDomain;
      if (goesLast) await sleep(OTHERS_FIRST_MS, signal);
      const { state, openForMs } = registry.of(name);
      if (state === 'closed') return { name, domain, halfOpen: false };
      if (state === 'half-open') {
        if (await changes.takeHalfOpen(name)) return { name, domain, halfOpen: true };
        const now = registry.of(name);
        if (now.state === 'half-open') registry.set(name, halfOpenElsewhere(now)); // a call of another process may have closed it meanwhile
      }
      throw refused(name, openForMs);
    },
    succeeded: ({ name, halfOpen }: Admitted) => (halfOpen ? changes.close(name) : changes.remember(name)),
    /** Records whether a failure counts against the provider. Returns the error for the caller to throw. */
    async failed({ name, halfOpen, domain }: Admitted, error: unknown): Promise<unknown> {
      const reason = reasonOf(error);
      if (isRefusal(error)) {
        // A refusal shows that the provider works. It is no evidence against earlier failures, so only a half-open breaker closes.
        if (halfOpen) await changes.close(name);
        return error;
      }
      if (!halfOpen) await changes.remember(name, { reason, domain });
      else await changes.open(name, reason, domain);
      return halfOpen ? notCounted(error, openMs) : error;
    },
  };
}

export function createBreakers(options: BreakerOptions): Breakers {
  const registry = createRegistry();
  const changes = createChanges(options, registry);
  const gate = createGate(registry, changes, options.openMs);
  // Failures to read are ignored here, because calls report an outage of Postgres.
  const polling = poll(() => changes.read(), { everyMs: POLL_EVERY_MS, onFailure: () => undefined });

  return {
    stateOf: (name) => registry.of(name).state,
    failedDomainOf: (name) => registry.of(name).failedDomain,
    async call(name, signal, act, domain) {
      const admitted = await gate.admit(name, signal, domain);
      const inFlight = registry.inFlight(name);
      let result;
      try {
        result = await act(AbortSignal.any([signal, inFlight]));
      } catch (error) {
        if (signal.aborted && admitted.halfOpen) await changes.leaveHalfOpen(name);
        if (signal.aborted) throw error;
        if (inFlight.aborted && !admitted.halfOpen) throw refused(name, registry.of(name).openForMs);
        throw await gate.failed(admitted, error);
      }
      await gate.succeeded(admitted);
      return result;
    },
    stop: () => polling.stop(),
  };
}

/** Whether the provider works and has refused this request, temporarily or permanently. */
const isRefusal = (error: unknown) => error instanceof ProviderError && error.kind !== 'retryable';

/** The jitter keeps refused calls from coming back all at once. */
const refused = (name: string, openForMs: number) =>
  new JobFailure('deferred', 'PROVIDER_LEFT_ALONE', `${name} keeps failing and is left alone`, {
    pauseMs: Math.max(0, openForMs) + Math.random() * 1_000,
  });

/** A failed half-open call is no attempt of its job. Otherwise few jobs would survive a long outage. */
const notCounted = (error: unknown, pauseMs: number) => {
  const code = error instanceof ProviderError ? error.code : 'FAILED';
  return new JobFailure('deferred', code, reasonOf(error), { cause: error, pauseMs });
};
