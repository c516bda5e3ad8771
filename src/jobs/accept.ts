import { randomUUID } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { CommandOrigin, CommandOutcome } from '../commands/command.ts';
import type { Commands } from '../commands/commands.ts';
import { AppError, forbidden, reasonOf, unavailable } from '../errors.ts';
import { thingIdOf } from '../events/ids.ts';
import type { JobRequest } from '../events/jobs.ts';
import type { Database } from '../postgres/pool.ts';
import { together, writtenTogether } from '../together.ts';
import { unfinishedJobsOf } from '../projections/jobs.ts';
import { currentMoments } from '../projections/playlist-moments.ts';
import type { Pauses } from './backoff.ts';
import { nextTime } from './cron.ts';
import type { JobPlan, JobType, PlanContext } from './job-type.ts';

/** What somebody wants done, as far as a request says it. */
export interface JobWish {
  readonly type: JobType;
  /** Of the type's own schema. */
  readonly payload: unknown;
  readonly runAt?: Date;
  readonly repeat?: { readonly cron: string; readonly timeZone: string };
  /** The job that this one does again. */
  readonly replaces?: string;
  /** Account id; of whoever sends it, unless it says another one. */
  readonly ownerId?: string;
  /** Throws when it is not to be. Called once it is known that the command was not sent before. */
  readonly check?: () => Promise<void> | void;
}

export interface AcceptOptions extends Pick<PlanContext, 'database' | 'files' | 'mail'> {
  /** Of the log, with its namespace. */
  readonly catalogTopic: string;
  readonly commands: Pick<Commands, 'job'>;
  /** Of the namespace's own tables; its commits are durable. */
  readonly tables: Database;
  /** Attempts that may fail. */
  readonly attempts: number;
  /** Between attempts. */
  readonly pauses: Pauses;
  /** Jobs of an account that have not ended. */
  readonly unfinished: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export interface Accepted extends CommandOutcome {
  readonly jobId: string;
}

/** Accepts jobs: what is personal or large goes to Postgres, and then an event to the log. */
export type Accept = (wish: JobWish, origin: CommandOrigin, isAdmin: boolean) => Promise<Accepted>;

/** Priority of a job that asks for none. */
const NORMAL = 0;
const ACCOUNTS_REMEMBERED = 10_000;
const COUNTED_AGAIN_MS = 1_000;

export function createAccept({
  commands,
  tables,
  attempts,
  pauses,
  unfinished,
  now,
  catalogTopic,
  ...given
}: AcceptOptions): Accept {
  const { database } = given;
  const keep = keeping(tables);
  const unfinishedOf = together((owners: readonly string[]) => unfinishedJobsOf(database, owners, unfinished));
  const counts = new LRUCache<string, { jobs: number }>({ max: ACCOUNTS_REMEMBERED, ttl: COUNTED_AGAIN_MS });
  const momentOf = together((playlists: readonly string[]) => currentMoments(database, playlists, catalogTopic));
  const context = { ...given, momentOf };

  /** Called once it is known that the command was not sent before. */
  async function request(jobId: string, wish: JobWish, actor: string, isAdmin: boolean): Promise<JobRequest> {
    const { type, payload, runAt, repeat, replaces, check, ownerId: caller = actor } = wish;
    await check?.();
    if (type.access === 'admins' && !isAdmin) throw forbidden('Only admins may start such a job.');
    await mustHaveRoom(caller);
    // Whoever does it for somebody else does not lend him his own rights.
    const plan = await type.plan(payload, { ...context, jobId, caller, isAdmin: isAdmin && caller === actor });
    if (repeat && plan.items)
      throw new AppError('rejected', 'CANNOT_REPEAT', 'What has items of its own cannot repeat.');
    // Its own for every try: what another one of the same command has kept may be of another body.
    const payloadId = plan.payload || plan.items ? `${jobId}.${randomUUID().slice(0, 8)}` : null;
    if (payloadId !== null) await keep({ payloadId, plan });
    return {
      ...{ jobType: type.name, ownerId: caller, parameters: JSON.stringify(plan.parameters), attempts },
      ...{ payloadId, provider: plan.provider ?? null, total: plan.items?.length ?? 1 },
      ...{ backoff: { strategy: type.backoff, firstMs: pauses.firstMs, maxMs: pauses.mostMs }, priority: NORMAL },
      ...{ runAt: runAt?.toISOString() ?? null, repeat: repeat ? firstOf(repeat) : null },
      ...{ parentId: null, replaces: replaces ?? null },
    };
  }

  /** Counts again after a second, and each time once half of the room is taken: few requests have to. */
  async function mustHaveRoom(account: string): Promise<void> {
    let counted = counts.get(account);
    if (!counted || counted.jobs >= unfinished / 2)
      counts.set(account, (counted = { jobs: await unfinishedOf(account) }));
    if (counted.jobs++ < unfinished) return;
    throw new AppError('too-many', 'TOO_MANY_JOBS', `You have ${unfinished} jobs that have not ended.`);
  }

  function firstOf({ cron, timeZone }: { cron: string; timeZone: string }) {
    const first = nextTime(cron, timeZone, new Date(now()));
    if (!first) throw new AppError('rejected', 'NEVER_DUE', 'There is no such time.');
    return { cron, timeZone, first: first.toISOString(), missed: 'run-once', until: null, count: null };
  }

  return async (wish, origin, isAdmin) => {
    const jobId = thingIdOf('job', origin.commandId);
    const outcome = await commands.job({
      ...{ stream: jobId, command: { type: 'RequestJob' }, origin },
      context: async () => ({ request: await request(jobId, wish, origin.actor, isAdmin) }),
    });
    return { ...outcome, jobId };
  };
}

interface Kept {
  readonly payloadId: string;
  readonly plan: JobPlan;
}

const PAYLOADS = `INSERT INTO job_payloads (id, payload) SELECT * FROM json_to_recordset($1) AS p (id text, payload json)`;
const ITEMS = `INSERT INTO job_items (payload_id, item, payload)
  SELECT * FROM json_to_recordset($1) AS i (payload_id text, item integer, payload json)`;

/** Keeps what belongs to jobs; all that is to be kept at the same time in one commit. */
function keeping(tables: Database) {
  return writtenTogether<Kept>(async (all) => {
    const payloads = all.map(({ payloadId: id, plan: { payload = {} } }) => ({ id, payload }));
    const items = all.flatMap(({ payloadId, plan }) =>
      (plan.items ?? []).map((payload, item) => ({ payload_id: payloadId, item, payload })),
    );
    try {
      await tables.query({ name: 'keep-payloads', text: PAYLOADS, values: [JSON.stringify(payloads)] });
      if (items.length > 0) await tables.query({ name: 'keep-items', text: ITEMS, values: [JSON.stringify(items)] });
    } catch (error) {
      throw unavailable('DATABASE_UNAVAILABLE', `The job cannot be kept now: ${reasonOf(error)}`, error);
    }
  }, 200);
}
