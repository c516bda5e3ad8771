import type { CommandOrigin, CommandOutcome } from '../commands/command.ts';
import type { Commands } from '../commands/commands.ts';
import { adminsOnly, AppError, reasonOf, unavailable } from '../errors.ts';
import { commandIdOf, idFromCommand } from '../events/ids.ts';
import type { JobRequest } from '../events/jobs.ts';
import type { Database } from '../postgres/pool.ts';
import { batch, batchWrites } from '../concurrency/batch.ts';
import { currentPositions } from '../projections/playlist-as-of.ts';
import type { Pauses, Strategy } from './backoff.ts';
import type { JobPlan, JobType, PlanContext } from './job-type.ts';
import type { MustHaveRoom } from './quota.ts';
import type { StoredFiles } from './stored-files.ts';
import { repeatFrom, type RepeatLimits, type RepeatRequest } from './repeats.ts';

/** What somebody wants done, as far as a request says it. */
export interface JobWish {
  readonly type: JobType;
  /** Of the type's own schema. */
  readonly payload: unknown;
  readonly runAt?: Date;
  readonly repeat?: RepeatRequest;
  readonly handling?: Handling;
  /** The job that this one does again. */
  readonly replaces?: string;
  /** Account id; of whoever sends it, unless it says another one. */
  readonly ownerId?: string;
  /** Whether that one is an admin; what sends it for another one does not know that by itself. */
  readonly ownerIsAdmin?: boolean;
  /** Throws when it is not to be. Called once it is known that the command was not sent before. */
  readonly check?: () => Promise<void> | void;
  /** Takes hold of what the job takes the place of, or throws. Called when nothing else is in the way of it any more. */
  readonly take?: () => Promise<unknown>;
}

/** How a job is to be done; what is not given is as its type and the configuration have it. */
interface Handling {
  /** That may fail. */
  readonly attempts?: number | undefined;
  readonly backoff?: Strategy | undefined;
  /** Among jobs of the same account: a higher one comes first. */
  readonly priority?: number | undefined;
}

export interface AcceptOptions extends Pick<PlanContext, 'database' | 'files' | 'mail' | 'dummySeconds'> {
  /** Of the log, with its namespace. */
  readonly catalogTopic: string;
  readonly commands: Pick<Commands, 'job'>;
  /** Of the namespace's own tables; its commits are durable. */
  readonly tables: Database;
  /** Attempts that may fail, of a job that does not say. */
  readonly attempts: number;
  /** Between attempts. */
  readonly pauses: Pauses;
  readonly mustHaveRoom: MustHaveRoom;
  readonly repeats: RepeatLimits;
  readonly stored: Pick<StoredFiles, 'mustHaveRoom'>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export interface AcceptedJob extends CommandOutcome {
  readonly jobId: string;
}

/** Accepts jobs: what is personal or large goes to Postgres, and then an event to the log. */
export type Accept = (wish: JobWish, origin: CommandOrigin, isAdmin: boolean) => Promise<AcceptedJob>;

/** Priority of a job that asks for none. */
const NORMAL = 0;

export function createAccept({
  commands,
  tables,
  attempts: standardAttempts,
  pauses,
  mustHaveRoom,
  repeats,
  stored,
  now,
  catalogTopic,
  ...given
}: AcceptOptions): Accept {
  const { database } = given;
  const keep = keeping(tables);
  const momentOf = batch((playlists: readonly string[]) => currentPositions(database, playlists, catalogTopic));
  const context = { ...given, momentOf };

  /** Called once it is known that the command was not sent before. */
  async function request(jobId: string, wish: JobWish, origin: CommandOrigin, isAdmin: boolean): Promise<JobRequest> {
    const { actor } = origin;
    const { type, payload, runAt, repeat, replaces, check, take, handling = {}, ownerId: caller = actor } = wish;
    const { attempts = standardAttempts, backoff: strategy = type.backoff, priority = NORMAL } = handling;
    await check?.();
    if (type.access === 'admins' && !isAdmin) throw adminsOnly(`start a job of type ${type.name}`);
    // Who does it for another one does not lend him his own rights.
    const { ownerIsAdmin: asAdmin = isAdmin && caller === actor } = wish;
    const repeating = repeat ? repeatFrom(repeat, { ...repeats, isAdmin: asAdmin }, new Date(now())) : null;
    await mustHaveRoom(caller, { jobId, version: 0, repeats: repeating !== null && !asAdmin });
    const plan = await type.plan(payload, { ...context, jobId, caller, isAdmin: asAdmin });
    if (type.usesFiles && type.access === 'everybody') await stored.mustHaveRoom(caller, plan.bytes ?? 0);
    if (repeat && plan.items)
      throw new AppError('rejected', 'CANNOT_REPEAT', 'What has items of its own cannot repeat.');
    // Another one for another body under the same key: what its first try has kept does not mix with it.
    const payloadId = plan.payload || plan.items ? `${jobId}.${commandIdOf(jobId, origin.bodyHash).slice(0, 8)}` : null;
    if (payloadId !== null) await keep({ payloadId, plan });
    await take?.();
    return {
      jobType: type.name,
      ownerId: caller,
      parameters: JSON.stringify(plan.parameters),
      attempts,
      payloadId,
      provider: plan.provider ?? null,
      total: plan.items?.length ?? 1,
      backoff: { strategy, firstMs: pauses.firstMs, maxMs: pauses.mostMs },
      priority,
      runAt: runAt?.toISOString() ?? null,
      repeat: repeating,
      parentId: null,
      replaces: replaces ?? null,
    };
  }

  return async (wish, origin, isAdmin) => {
    const jobId = idFromCommand('job', origin.commandId);
    const outcome = await commands.job({
      stream: jobId,
      command: { type: 'RequestJob' },
      origin,
      context: async () => ({ request: await request(jobId, wish, origin, isAdmin) }),
    });
    return { ...outcome, jobId };
  };
}

interface Kept {
  readonly payloadId: string;
  readonly plan: JobPlan;
}

const PAYLOADS = `INSERT INTO job_payloads (id, payload)
  SELECT DISTINCT ON (id) * FROM json_to_recordset($1) AS p (id text, payload json) ON CONFLICT (id) DO UPDATE SET created_at = excluded.created_at`;
const ITEMS = `INSERT INTO job_items (payload_id, item, payload)
  SELECT * FROM json_to_recordset($1) AS i (payload_id text, item integer, payload json) ON CONFLICT DO NOTHING`;

/** Keeps what belongs to jobs; all that is to be kept at the same time in one commit. */
function keeping(tables: Database) {
  return batchWrites<Kept>(async (all) => {
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
