import type { Logger } from 'pino';
import { within } from '../concurrency/deadline.ts';
import { shareRunning } from '../concurrency/single-flight.ts';

/** The state of a dependency. `detail` is public: no secrets, no addresses. */
export interface Check {
  readonly ok: boolean;
  readonly detail: string;
}

export interface Probe {
  /**
   * - `always`: the process is not ready while it fails;
   * - `at-start`: the same, but only until the process has been ready once;
   * - `never`: the check is only shown.
   */
  readonly needed: 'always' | 'at-start' | 'never';
  check(): Promise<Check>;
}

export interface HealthOptions {
  /** A line each in `/health` and `/readyz`, in this order. */
  readonly probes: Readonly<Record<string, Probe>>;
  /** Fails when the process runs but does no useful work and should be restarted, as with a stopped projector. */
  readonly alive?: () => Check;
  readonly logger: Logger;
  readonly deadlineMs?: number;
}

export interface HealthReport {
  readonly ok: boolean;
  /** Why the process is not ready; empty when it is. */
  readonly reason: string;
  readonly checks: Readonly<Record<string, Check>>;
}

export interface Health {
  live(): Check;
  ready(): Promise<HealthReport>;
  /** Makes the process not ready for good, because it is about to stop. */
  leave(): void;
}

export function createHealth({ probes, alive = () => OK, logger, deadlineMs = 1_000 }: HealthOptions): Health {
  const began = performance.now();
  let wasReady = false;
  const isStarting = () => !wasReady && performance.now() - began < STARTING_MS;
  const lines = Object.entries(probes).map(([name, probe]) => ({
    name,
    needed: probe.needed,
    check: watched(name, probe, { deadlineMs, logger, isStarting }),
  }));
  let leaving = false;

  async function ready(): Promise<HealthReport> {
    const checked = await Promise.all(lines.map(async (line) => ({ ...line, check: await line.check() })));
    const missing = checked.filter(
      ({ needed, check }) => !check.ok && (needed === 'always' || (needed === 'at-start' && !wasReady)),
    );
    if (missing.length === 0) wasReady = true;
    const reasons = [
      ...(leaving ? ['the process is stopping'] : []),
      ...missing.map(({ name, check }) => `${name}: ${check.detail}`),
    ];
    const checks = Object.fromEntries(checked.map(({ name, check }) => [name, check]));
    return { ok: reasons.length === 0, reason: reasons.join('; '), checks };
  }

  return { live: alive, ready, leave: () => (leaving = true) };
}

const OK: Check = { ok: true, detail: 'ok' };

/** A process that is not ready after this long has a problem, and logs it. */
const STARTING_MS = 60_000;

interface Look {
  readonly check: Check;
  /** Why the check could not be made. */
  readonly error?: unknown;
}

interface WatchOptions {
  readonly deadlineMs: number;
  readonly logger: Logger;
  readonly isStarting: () => boolean;
}

/**
 * Returns a check that always answers within the deadline. Concurrent calls share one run of the probe, so that neither many
 * calls nor a hanging probe cause more than one run at a time. Each change is logged once, with the reason. It is no warning while
 * the process starts, because dependencies become ready one after another.
 */
function watched(name: string, probe: Probe, { deadlineMs, logger, isStarting }: WatchOptions): () => Promise<Check> {
  let logged: 'ok' | 'starting' | 'failing' = 'ok';

  const run = shareRunning(async (): Promise<Look> => {
    try {
      return { check: await probe.check() };
    } catch (error) {
      return { check: { ok: false, detail: publicReason(error) }, error };
    }
  });

  const log = ({ check: { ok, detail }, error }: Look) => {
    const state = ok ? 'ok' : isStarting() ? 'starting' : 'failing';
    if (state === logged) return;
    logged = state;
    if (state === 'starting') logger.info({ dependency: name, detail }, 'not ready yet');
    else if (ok) logger.info({ dependency: name, detail }, 'health changed');
    else logger.warn({ dependency: name, detail, err: error }, 'health changed');
  };

  return async () => {
    const look = await within(deadlineMs, 'the probe', run()).catch(() => lateAfter(deadlineMs));
    log(look);
    return look.check;
  };
}

const lateAfter = (ms: number): Look => ({ check: { ok: false, detail: `no answer within ${ms} ms` } });

/** The public part of an error: messages can contain addresses and user names, codes like ECONNREFUSED and SQLSTATEs cannot. */
const publicReason = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? `failed (${error.code})` : 'failed';
