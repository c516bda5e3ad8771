import { pino } from 'pino';
import { loadConfig } from '../../../src/config.ts';
import type { Placement } from '../../../src/events/placement.ts';
import { type StoredRecord } from '../../../src/events/record.ts';
import { Lifecycle } from '../../../src/lifecycle.ts';
import type { EventLog } from '../../../src/log/event-log.ts';
import { voidsOf, voidTestOf } from '../../../src/log/voids.ts';
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
import { createWorld, nameOf, peopleOf, type Stream, type World } from './world.ts';

/** Where to find the log and everything derived from it. */
export interface Evidence {
  readonly log: EventLog;
  readonly placement: Placement;
  /** The namespace's own tables, of no particular generation. */
  readonly admin: Database;
  /** The API processes that are asked for everything at the end. */
  readonly urls: readonly string[];
  /** Rebuilds everything and compares it with the served generation. */
  readonly rebuild?: () => Promise<{ readonly code: number | null; readonly output: string }>;
}

/** The requests and the log, compared with each other. */
export function checkAgainstLog(history: History, records: readonly StoredRecord[], placement: Placement): Violation[] {
  const { accepted, violations } = judge(records, placement);
  const world = createWorld(accepted, history);
  return [...violations, ...checkEffects(history, records, world), ...checkReads(history, world)];
}

/** The operations that earlier checks of the same log have found right. */
interface Checked {
  /** Those of them that could change something. */
  readonly writes: readonly Operation[];
  /** The last versions then, by stream: every process has shown them. */
  readonly versions: ReadonlyMap<string, number>;
  readonly at: number;
}

const nothing: Checked = { writes: [], versions: new Map(), at: 0 };

/** Checks everything, once the load is over. Waits until the log is applied. */
export const checkHistory = async (history: History, evidence: Evidence): Promise<Violation[]> =>
  (await checkMore(history, evidence, nothing)).violations;

async function checkMore(
  { operations, ...history }: History,
  evidence: Evidence,
  before: Checked,
): Promise<{ readonly violations: Violation[]; readonly checked: Checked }> {
  const { log, placement, admin, urls, rebuild } = evidence;
  await applied(evidence);
  const records = await readLog(log, placement);
  const { accepted, violations } = judge(records, placement, voidTestOf(await voidsOf(admin)));
  const world = createWorld(accepted, { operations: [...before.writes, ...operations] });
  const at = performance.now();
  const last = await readEverything(readsOf(onlyOf(world, operations)), urls);
  const recent = [...operations, ...last];
  const whole = { ...history, operations: [...before.writes, ...recent] };
  const found = [
    ...violations,
    ...checkEffects(whole, records, world),
    ...checkReads({ ...whole, operations: recent }, world, { settledAt: at, before }),
    ...last.flatMap(unanswered),
    ...(await checkTables(admin, await log.ends(placement.all), world)),
    ...(await checkRebuild(rebuild)),
  ];
  const writes = [...before.writes, ...operations.filter(({ request }) => request.effect)];
  return { violations: found, checked: { writes, versions: versionsIn(world), at } };
}

const readsOf = (world: World) => categories.flatMap(({ reads }) => reads(world));

/** The part of the world that these operations have changed: the rest was read and checked before. */
function onlyOf(world: World, operations: readonly Operation[]): World {
  const requests = new Set(operations.flatMap(({ attempts }) => attempts.map(({ id }) => id)));
  const isOf = ({ accepted }: Stream) => accepted.some(({ correlationId }) => requests.has(correlationId));
  return { ...world, ofCategory: (name) => world.ofCategory(name).filter(isOf), people: peopleOf(operations) };
}

const versionsIn = (world: World): Map<string, number> => {
  const streams = categories.flatMap(({ name }) => world.ofCategory(name));
  return new Map(streams.map(({ id, states }) => [id, states.length - 1]));
};

/** At the end every process answers. */
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
  /** False: the served generation is not compared with a rebuild. */
  readonly rebuild?: boolean;
}

/** The same for running processes with known settings; the command line makes the rebuild. */
export const checkServed = (history: History, options: ServedOptions): Promise<Violation[]> =>
  withServed(options, (evidence) => checkHistory(history, evidence));

/** Checks histories of one log as they are recorded, each with what is known from the earlier ones. */
export function startChecking(options: ServedOptions): (history: History) => Promise<Violation[]> {
  let checked = nothing;
  return (history) =>
    withServed(options, async (evidence) => {
      const done = await checkMore(history, evidence, checked);
      ({ checked } = done);
      return done.violations;
    });
}

function withServed<T>(
  { env, urls, rebuild = true }: ServedOptions,
  work: (evidence: Evidence) => Promise<T>,
): Promise<T> {
  const rebuilt = rebuild ? () => openmusic(['projections', 'rebuild'], env) : undefined;
  return withEvidence(env, (evidence) => work({ ...evidence, urls, rebuild: rebuilt }));
}

/** Opens log and Postgres as a command of `openmusic` does, beside the running processes, in both shapes. */
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
