import type { CommandOrigin, CommandOutcome } from '../commands/command.ts';
import type { Commands } from '../commands/commands.ts';
import { adminsOnly, AppError, reasonOf, unavailable } from '../errors.ts';
import { commandIdOf, idFromCommand } from '../events/ids.ts';
import type { JobRequest, Repeat } from '../events/jobs.ts';
import type { Database } from '../postgres/pool.ts';
import { batch, batchWrites } from '../concurrency/batch.ts';
import { currentPositions } from '../projections/playlist-as-of.ts';
import type { Pauses, Strategy } from './backoff.ts';
import type { JobPlan, JobType, PlanContext } from './job-type.ts';
import type { MustHaveRoom } from './quota.ts';
import type { StoredFiles } from './stored-files.ts';
import { repeatFrom, type RepeatLimits, type RepeatRequest } from './repeats.ts';

/** A job as a client asks for it. Everything that is missing comes from the job's type and the configuration. */
export interface JobSubmission {
  readonly type: JobType;
  /** Valid by the schema of the type. */
  readonly payload: unknown;
  readonly runAt?: Date;
  readonly repeat?: RepeatRequest;
  readonly handling?: Handling;
  /** Id of the job that this one does again. */
  readonly replaces?: string;
  /** Account id; the sender's when it is missing. */
  readonly ownerId?: string;
  /** Whether the owner is an admin. The sender's own role says nothing about another owner. */
  readonly ownerIsAdmin?: boolean;
  /** Throws when the job must not be accepted. It is not called for a command that was sent before. */
  readonly check?: () => Promise<void> | void;
  /** Claims what the job replaces, or throws. It is called last, when nothing else can refuse the job any more. */
  readonly take?: () => Promise<unknown>;
}

/** How a job is done. */
interface Handling {
  /** How many attempts may fail. */
  readonly attempts?: number | undefined;
  readonly backoff?: Strategy | undefined;
  /** Among jobs of the same account, a higher number comes first. */
  readonly priority?: number | undefined;
}

export interface AcceptOptions extends Pick<PlanContext, 'database' | 'files' | 'mail' | 'dummySeconds'> {
  /** Full name of the catalog's topic, with the namespace. */
  readonly catalogTopic: string;
  readonly commands: Pick<Commands, 'job'>;
  /** The namespace's own tables. Their commits are durable. */
  readonly tables: Database;
  /** How many attempts may fail when the request does not say. */
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

/** Accepts jobs. What is personal or large is stored in Postgres first; then an event is appended to the log. */
export type Accept = (submission: JobSubmission, origin: CommandOrigin, isAdmin: boolean) => Promise<AcceptedJob>;

/** The priority when the request does not say one. */
const NORMAL_PRIORITY = 0;

/** A submission with what is known of its sender. */
interface Asked {
  readonly jobId: string;
  readonly submission: JobSubmission;
  readonly origin: CommandOrigin;
  /** Whether the sender is an admin. */
  readonly isAdmin: boolean;
  /** Account id of the owner. */
  readonly caller: string;
  /** Whether the owner is an admin. A sender does not lend its own rights to another owner. */
  readonly asAdmin: boolean;
}

export function createAccept(options: AcceptOptions): Accept {
  const { commands, tables, mustHaveRoom, stored, now, catalogTopic, repeats, ...given } = options;
  const { database } = given;
  const storePayload = createPayloadStore(tables);
  const positionOf = batch((playlists: readonly string[]) => currentPositions(database, playlists, catalogTopic));
  const context = { ...given, positionOf };

  /** Throws when the job must not be accepted. Takes the job's place in the quota of its owner. */
  async function admit({ jobId, submission, isAdmin, caller, asAdmin }: Asked): Promise<Repeat | null> {
    const { type, repeat, check } = submission;
    await check?.();
    if (type.access === 'admins' && !isAdmin) throw adminsOnly(`start a job of type ${type.name}`);
    const repeating = repeat ? repeatFrom(repeat, { ...repeats, isAdmin: asAdmin }, new Date(now())) : null;
    await mustHaveRoom(caller, { jobId, version: 0, repeats: repeating !== null && !asAdmin });
    return repeating;
  }

  async function planOf({ jobId, submission, caller, asAdmin }: Asked): Promise<JobPlan> {
    const { type, payload, repeat } = submission;
    const plan = await type.plan(payload, { ...context, jobId, caller, isAdmin: asAdmin });
    if (type.usesFiles && type.access === 'users') await stored.mustHaveRoom(caller, plan.bytes ?? 0);
    if (repeat && plan.items) throw new AppError('rejected', 'CANNOT_REPEAT', 'A job with items cannot repeat.');
    return plan;
  }

  /** Checks the job and stores what it needs. Returns the request that its event carries. */
  async function prepare(asked: Asked): Promise<JobRequest> {
    const repeat = await admit(asked);
    const plan = await planOf(asked);
    const payloadId = payloadIdOf(asked, plan);
    if (payloadId !== null) await storePayload({ payloadId, plan });
    await asked.submission.take?.();
    return requestOf(asked, { plan, payloadId, repeat }, options);
  }

  return async (submission, origin, isAdmin) => {
    const jobId = idFromCommand('job', origin.commandId);
    const { ownerId: caller = origin.actor, ownerIsAdmin: asAdmin = isAdmin && caller === origin.actor } = submission;
    const outcome = await commands.job({
      stream: jobId,
      origin,
      command: async () => ({
        type: 'RequestJob',
        request: await prepare({ jobId, submission, origin, isAdmin, caller, asAdmin }),
      }),
    });
    return { ...outcome, jobId };
  };
}

/**
 * Null when the job stores nothing. The id depends on the body too: what the first try under an idempotency key has stored must not
 * mix with another body under the same key.
 */
const payloadIdOf = ({ jobId, origin }: Asked, { payload, items }: JobPlan): string | null =>
  payload || items ? `${jobId}.${commandIdOf(jobId, origin.bodyHash).slice(0, 8)}` : null;

interface Prepared {
  readonly plan: JobPlan;
  readonly payloadId: string | null;
  readonly repeat: Repeat | null;
}

function requestOf(
  { submission: { type, runAt, replaces, handling = {} }, caller }: Asked,
  { plan, payloadId, repeat }: Prepared,
  { attempts: defaultAttempts, pauses }: AcceptOptions,
): JobRequest {
  const { attempts = defaultAttempts, backoff: strategy = type.backoff, priority = NORMAL_PRIORITY } = handling;
  return {
    jobType: type.name,
    ownerId: caller,
    parameters: JSON.stringify(plan.parameters),
    attempts,
    payloadId,
    provider: plan.provider ?? null,
    total: plan.items?.length ?? 1,
    backoff: { strategy, firstMs: pauses.firstMs, maxMs: pauses.maxMs },
    priority,
    runAt: runAt?.toISOString() ?? null,
    repeat,
    parentId: null,
    replaces: replaces ?? null,
  };
}

interface StoredPayload {
  readonly payloadId: string;
  readonly plan: JobPlan;
}

const PAYLOADS = `INSERT INTO job_payloads (id, payload)
  SELECT DISTINCT ON (id) * FROM json_to_recordset($1) AS p (id text, payload json) ON CONFLICT (id) DO UPDATE SET created_at = excluded.created_at`;
const ITEMS = `INSERT INTO job_items (payload_id, item, payload)
  SELECT * FROM json_to_recordset($1) AS i (payload_id text, item integer, payload json) ON CONFLICT DO NOTHING`;

/** Stores payloads and items of jobs. What is asked for at the same time is one commit. */
function createPayloadStore(tables: Database) {
  return batchWrites<StoredPayload>(async (all) => {
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
