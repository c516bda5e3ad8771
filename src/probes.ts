import type { Check, Probe } from './http/health.ts';
import type { ConsumerHealth, Consumers } from './projections/engine/consumers.ts';
import type { PartitionHealth } from './projections/engine/lag.ts';
import type { StoredLag } from './projections/engine/stored-lag.ts';
import type { ReadModel } from './projections/generations/read-model.ts';
import { listQuarantine } from './projections/engine/quarantine.ts';
import type { Resources } from './resources.ts';

/** A consumer that has applied nothing for this long while records wait should be started again. */
const STUCK_MS = 15_000;

export function databaseProbe({ admin }: Resources): Probe {
  return { needed: 'always', check: timed(() => admin.query({ text: 'SELECT 1' })) };
}

export function logProbe({ log, placement }: Resources): Probe {
  return { needed: 'always', check: timed(() => log.ends(placement.all.slice(0, 1))) };
}

/** Changes that other programs made to the log's topics while the process runs. */
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

/** Whether mail is delivered, by the breakers that all senders share in Postgres, so that any process can show it. Asks no mail server. */
export function mailProbe({ admin }: Pick<Resources, 'admin'>, providers: readonly string[]): Probe {
  const text = 'SELECT name FROM breakers WHERE open_until IS NOT NULL';
  return {
    needed: 'never',
    async check() {
      const failing = new Set(
        (await admin.query<{ name: string }>({ name: 'failing-mail', text })).map(({ name }) => name),
      );
      const lines = providers.map((name) => ({ name, ok: !failing.has(`mail:${name}`) }));
      const detail = lines
        .map(({ name, ok }) => `${name}: ${ok ? 'ok' : 'keeps failing and is left alone'}`)
        .join('; ');
      return { ok: lines.every(({ ok }) => ok), detail };
    },
  };
}

/** How far the read models are behind the log. Whether they had caught up at the start is the reads' own probe. */
export function lagProbe(watch: StoredLag): Probe {
  return { needed: 'never', check: () => checkLag(watch, 'applied') };
}

/** How far the groups of other processes are behind the log, each by its name. */
export function lagsProbe(groups: readonly { readonly name: string; readonly lag: StoredLag }[], until: string): Probe {
  return {
    needed: 'never',
    async check() {
      const checks = await Promise.all(
        groups.map(async ({ name, lag }) => ({ name, ...(await checkLag(lag, until)) })),
      );
      const bad = checks.filter(({ ok }) => !ok);
      const shown = bad.length > 0 ? bad : checks;
      return { ok: bad.length === 0, detail: shown.map(({ name, detail }) => `${name}: ${detail}`).join('; ') };
    },
  };
}

async function checkLag(watch: StoredLag, until: string) {
  const partitions = await watch.measure();
  const lag = partitions.reduce((sum, each) => sum + each.lag, 0);
  const problems = [
    ...countOf(partitions, 'stopped', 'are stopped'),
    ...countOf(partitions, 'alarm', 'do not catch up'),
  ];
  return { ok: problems.length === 0, detail: [waiting(lag, until), ...problems].join(', ') };
}

function countOf(partitions: readonly PartitionHealth[], what: 'stopped' | 'alarm', are: string): string[] {
  const count = partitions.filter((each) => each[what]).length;
  return count > 0 ? [`${count} partitions ${are}`] : [];
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

/** A consumer is ready once it has applied what was in the log at its start. */
export function consumerProbe(health: () => { caughtUp: boolean; lag: number }, done: string, more = () => ''): Probe {
  return {
    needed: 'at-start',
    check() {
      const { caughtUp, lag } = health();
      return Promise.resolve({ ok: caughtUp, detail: waiting(lag, done) + more() });
    },
  };
}

/** Whether every consumer of this process makes progress. Reads work without them, so an API stays ready. */
export function consumersProbe(consumers: Consumers, hasApi: boolean): Probe {
  return {
    needed: hasApi ? 'never' : 'always',
    check() {
      const problems = consumers.health().flatMap(problemsOf);
      const [first = 'every partition is consumed', ...others] = problems;
      const more = others.length > 0 ? `, and ${others.length} more` : '';
      return Promise.resolve({ ok: problems.length === 0, detail: first + more });
    },
  };
}

function problemsOf({ group, partitions }: ConsumerHealth): string[] {
  return partitions.flatMap(({ partition, stopped, alarm, lag }) => {
    if (stopped !== undefined) return [`${group}: ${partition} is stopped: ${stopped}`];
    return alarm ? [`${group}: ${lag} records of ${partition} wait, and they do not become fewer`] : [];
  });
}

export interface LifeOptions {
  /** A restart does not repair a stopped partition, and would interrupt the API. */
  readonly hasApi: boolean;
  readonly stuckAfterMs?: number;
}

/** Whether this process should keep running: none of its partitions is stopped, and it makes progress while records wait. */
export function lifeOf(consumers: Consumers, { hasApi, stuckAfterMs = STUCK_MS }: LifeOptions): Check {
  const all = consumers.health();
  const [stopped] = hasApi ? [] : all.flatMap((each) => each.stopped);
  if (stopped) return { ok: false, detail: `${stopped.partition} is stopped: ${stopped.reason}` };
  const stuck = all.find(({ stuckMs }) => stuckMs > stuckAfterMs);
  if (!stuck) return { ok: true, detail: 'ok' };
  const seconds = Math.round(stuck.stuckMs / 1_000);
  return { ok: false, detail: `${stuck.group}: records wait and none was applied for ${seconds} s` };
}

const waiting = (lag: number, done: string): string => `${lag} records wait to be ${done}`;

/** A check whose detail is how long the work took. */
export function timed(work: () => Promise<unknown>): () => Promise<Check> {
  return async () => {
    const began = performance.now();
    await work();
    return { ok: true, detail: `${Math.max(1, Math.round(performance.now() - began))} ms` };
  };
}
