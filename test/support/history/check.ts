import { pino } from 'pino';
import { loadConfig } from '../../../src/config.ts';
import type { Placement } from '../../../src/events/placement.ts';
import { type StoredRecord } from '../../../src/events/record.ts';
import { Lifecycle } from '../../../src/lifecycle.ts';
import type { EventLog } from '../../../src/log/event-log.ts';
import { readVoidTest } from '../../../src/log/voids.ts';
import type { Database } from '../../../src/postgres/pool.ts';
import { openResources } from '../../../src/resources.ts';
import { openmusic } from '../processes.ts';
import { until } from '../servers/waiting.ts';
import { categories } from './categories.ts';
import { checkEffects } from './effects.ts';
import type { History, Operation, Violation } from './history.ts';
import { checkReads } from './reads.ts';
import { readEverything } from './record.ts';
import { readLog } from './log.ts';
import { judge } from './rule.ts';
import { behind, checkTables } from './tables.ts';
import { createWorld, nameOf } from './world.ts';

/** Where the truth and what was made of it are to be found. */
export interface Evidence {
  readonly log: EventLog;
  readonly placement: Placement;
  /** The namespace's own tables; not bound to a generation. */
  readonly admin: Database;
  /** The API processes that are asked for everything at the end. */
  readonly urls: readonly string[];
  /** Rebuilds everything and compares it with what is served. */
  readonly rebuild?: () => Promise<{ readonly code: number | null; readonly output: string }>;
}

/** What the requests and the log say about each other. */
export function checkAgainstLog(history: History, records: readonly StoredRecord[], placement: Placement): Violation[] {
  const { accepted, violations } = judge(records, placement);
  const world = createWorld(accepted, history);
  return [...violations, ...checkEffects(history, records, world), ...checkReads(history, world)];
}

/** Everything there is to check, once the load is over. Waits until the log is applied. */
export async function checkHistory(history: History, evidence: Evidence): Promise<Violation[]> {
  const { log, placement, admin, urls, rebuild } = evidence;
  await applied(evidence);
  const records = await readLog(log, placement);
  const { accepted, violations } = judge(records, placement, await readVoidTest(admin));
  const world = createWorld(accepted, history);
  const settledAt = performance.now();
  const last = await readEverything(
    categories.flatMap(({ reads }) => reads(world)),
    urls,
  );
  const whole = { ...history, operations: [...history.operations, ...last] };
  return [
    ...violations,
    ...checkEffects(whole, records, world),
    ...checkReads(whole, world, settledAt),
    ...last.flatMap(unanswered),
    ...(await checkTables(admin, await log.ends(placement.all), world)),
    ...(await checkRebuild(rebuild)),
  ];
}

/** Once all is over, every process answers. */
function unanswered(operation: Operation): Violation[] {
  return operation.attempts.flatMap((attempt): Violation[] =>
    attempt.outcome.kind === 'unknown'
      ? [{ rule: 'unexpected-answer', message: `${nameOf(operation, attempt)} got ${attempt.outcome.why}` }]
      : [],
  );
}

async function applied({ log, placement, admin }: Evidence): Promise<void> {
  let missing: string[] = [];
  const isApplied = async () => (missing = await behind(admin, await log.ends(placement.all))).length === 0;
  await until(isApplied, 60_000, () => `not applied: ${missing.join('; ')}`);
}

async function checkRebuild(rebuild: Evidence['rebuild']): Promise<Violation[]> {
  const { code, output } = (await rebuild?.()) ?? { code: 0, output: '' };
  return code === 0 ? [] : [{ rule: 'rebuild-differs', message: `the rebuild ended with ${code}: ${output}` }];
}

export interface ServedOptions {
  /** Settings of the processes. */
  readonly env: Readonly<Record<string, string>>;
  readonly urls: readonly string[];
  /** False: what is served is not compared with a rebuild. */
  readonly rebuild?: boolean;
}

/** The same for running processes of which the settings are known; a rebuild is made by the command line. */
export function checkServed(history: History, { env, urls, rebuild = true }: ServedOptions): Promise<Violation[]> {
  const rebuilt = rebuild ? () => openmusic(['projections', 'rebuild'], env) : undefined;
  return withEvidence(env, (evidence) => checkHistory(history, { ...evidence, urls, rebuild: rebuilt }));
}

/** Opens log and Postgres as a command of `openmusic` does, beside the processes that run, in both shapes. */
export async function withEvidence<T>(
  env: ServedOptions['env'],
  work: (evidence: Pick<Evidence, 'log' | 'placement' | 'admin'>) => Promise<T>,
): Promise<T> {
  const lifecycle = new Lifecycle(() => undefined);
  try {
    const config = loadConfig({ ...env, MIGRATE_ON_BOOT: 'off' }, '/');
    return await work(await openResources({ config, logger: pino({ level: 'silent' }), lifecycle, as: 'command' }));
  } finally {
    await lifecycle.stop();
  }
}
