import type { Check, Probe } from './http/health.ts';
import type { Feeds } from './projections/feeds.ts';
import type { ReadModel } from './projections/read-model.ts';
import { listQuarantine } from './projections/quarantine.ts';
import type { Resources } from './resources.ts';

/** A projector that has applied nothing for this long while records wait should be started again. */
const STUCK_MS = 15_000;

export function databaseProbe({ admin }: Resources): Probe {
  return { needed: 'always', check: timed(() => admin.query({ text: 'SELECT 1' })) };
}

export function logProbe({ log, placement }: Resources): Probe {
  return { needed: 'always', check: timed(() => log.ends(placement.all.slice(0, 1))) };
}

/** What others have changed of the log while the process runs. */
export function alarmsProbe(alarms: () => readonly string[]): Probe {
  return {
    needed: 'never',
    check() {
      const found = alarms();
      return Promise.resolve({ ok: found.length === 0, detail: found.join('; ') || 'ok' });
    },
  };
}

export function readModelProbe(reads: ReadModel): Probe {
  return {
    needed: 'always',
    async check() {
      await reads.query({ text: 'SELECT 1' });
      return { ok: true, detail: `reading ${reads.generation()?.schema ?? 'nothing'}` };
    },
  };
}

/** How far the read models are behind the log. Whether they had come to its end at the start is asked by the reads. */
export function lagProbe({ log, placement }: Resources, reads: ReadModel): Probe {
  return {
    needed: 'never',
    async check() {
      const rows = await reads.query<{ applied: number; stopped: number }>({
        text: 'SELECT sum(next)::bigint AS applied, count(stopped) AS stopped FROM checkpoints',
      });
      const ends = await log.ends(placement.all);
      const { applied = 0, stopped = 0 } = rows[0] ?? {};
      const lag = Math.max(0, ends.reduce((sum, { offset }) => sum + offset, 0) - applied);
      const detail = `${lag} records wait to be applied${stopped > 0 ? `, ${stopped} partitions are stopped` : ''}`;
      return { ok: stopped === 0, detail };
    },
  };
}

export function quarantineProbe(reads: ReadModel): Probe {
  return {
    needed: 'never',
    async check() {
      const entries = await listQuarantine(reads);
      const detail = entries.length === 0 ? 'no stream is quarantined' : `${entries.length} streams are quarantined`;
      return { ok: entries.length === 0, detail };
    },
  };
}

/** A projector is ready once it has applied what was in the log at its start. */
export function feedProbe(feeds: Feeds): Probe {
  return {
    needed: 'at-start',
    check() {
      const { caughtUp, lag, stopped } = feeds.health();
      const halted = stopped.length > 0 ? `, ${stopped.length} partitions are stopped` : '';
      return Promise.resolve({ ok: caughtUp, detail: `${lag} records wait to be applied${halted}` });
    },
  };
}

/** The projector's own life: whether it stopped a partition, or stands still while records wait. */
export function projectorLife(feeds: Feeds, stuckAfterMs = STUCK_MS): Check {
  const { stopped, stuckMs, lag } = feeds.health();
  const [first] = stopped;
  if (first) return { ok: false, detail: `${first.partition} is stopped: ${first.reason}` };
  if (stuckMs > stuckAfterMs)
    return { ok: false, detail: `${lag} records wait and none was applied for ${Math.round(stuckMs / 1000)} s` };
  return { ok: true, detail: 'ok' };
}

/** Tells how long the work took. */
export function timed(work: () => Promise<unknown>): () => Promise<Check> {
  return async () => {
    const began = performance.now();
    await work();
    return { ok: true, detail: `${Math.max(1, Math.round(performance.now() - began))} ms` };
  };
}
