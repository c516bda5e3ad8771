import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';

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
  const lines = Object.entries(probes).map(([name, probe]) => ({
    name,
    needed: probe.needed,
    check: watched(name, probe, deadlineMs, logger),
  }));
  let wasReady = false;
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

/**
 * Returns a check that always answers within the deadline. Concurrent calls share one run of the probe, so that neither many
 * calls nor a hanging probe cause more than one run at a time. Each change is logged once, with the reason.
 */
function watched(name: string, probe: Probe, deadlineMs: number, logger: Logger): () => Promise<Check> {
  let running: Promise<Check> | undefined;
  let wasOk = true;

  const run = async (): Promise<Check> => {
    try {
      return await probe.check();
    } catch (error) {
      if (wasOk) logger.warn({ dependency: name, err: error }, 'a health check failed');
      return { ok: false, detail: publicReason(error) };
    } finally {
      running = undefined;
    }
  };

  return async () => {
    running ??= run();
    const check = await orLate(running, deadlineMs);
    if (check.ok !== wasOk)
      logger[check.ok ? 'info' : 'warn']({ dependency: name, detail: check.detail }, 'health changed');
    wasOk = check.ok;
    return check;
  };
}

async function orLate(check: Promise<Check>, ms: number): Promise<Check> {
  const timer = new AbortController();
  const late = delay(ms, { ok: false, detail: `no answer within ${ms} ms` }, { signal: timer.signal });
  late.catch(() => undefined);
  try {
    return await Promise.race([check, late]);
  } finally {
    timer.abort();
  }
}

/** The public part of an error: messages can contain addresses and user names, codes like ECONNREFUSED and SQLSTATEs cannot. */
const publicReason = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? `failed (${error.code})` : 'failed';
