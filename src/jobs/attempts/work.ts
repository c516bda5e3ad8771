import { pausesOfJob } from '../backoff.ts';
import { retryFailedItems, createItems } from '../items.ts';
import { JobFailure, type JobServices, type Work } from '../job-type.ts';
import { createRights, refusalOf, type Rights } from '../owner-rights.ts';
import { forgetRefusals } from '../refusals.ts';
import type { Database } from '../../postgres/pool.ts';
import { batchWrites } from '../../concurrency/batch.ts';
import type { Attempt, Handle } from './attempt.ts';

export interface WorkOptions {
  /** The namespace's own tables; its commits are durable. */
  readonly tables: Database;
  readonly services: JobServices;
}

/** How often progress is recorded, and the owner's rights are read, at most. */
const CHECKPOINT_EVERY_MS = 1_000;

/** Does the work of the job's type, as long as the owner has the right to it. */
export function working({ tables, services }: WorkOptions): Handle {
  const effects = createEffects(tables);
  const rightsOf = createRights(tables);

  async function rightsFor({ job, type }: Attempt): Promise<Rights> {
    const rights = await rightsOf(job.ownerId);
    const refusal = refusalOf(type, rights);
    if (refusal) throw new JobFailure('permanent', refusal.code, refusal.message);
    return rights;
  }

  return async (attempt) => {
    const { job, type, number, signal } = attempt;
    const { isAdmin: ownerIsAdmin } = await rightsFor(attempt);
    if (job.payloadId !== null && job.payload === null) {
      throw new JobFailure('permanent', 'PAYLOAD_LOST', 'The payload of the job is not stored any more.');
    }
    const once: Work['once'] = async (effect, act) => {
      if (number > 1 && (await effects.wasDone(job.jobId, effect))) return;
      await act();
      await effects.remember(job.jobId, effect);
    };
    if (job.retriedThrough > 0) await once(`again after ${job.retriedThrough}`, () => restartItems(tables, job));
    const work: Work = {
      jobId: job.jobId,
      ownerId: job.ownerId,
      ownerIsAdmin,
      attempt: number,
      allowed: job.allowed,
      pauses: pausesOfJob(job.backoff),
      signal,
      parameters: JSON.parse(job.parameters) as unknown,
      payload: job.payload,
      provider: job.provider ?? undefined,
      items: createItems(tables, job.payloadId ?? ''),
      mustBeAllowed: atMostEverySecond(() => rightsFor(attempt)),
      progress: checkpoints(attempt),
      once,
    };
    return { kind: 'completed', outcome: await type.work(work, services) };
  };
}

async function restartItems(tables: Database, { jobId, payloadId }: Attempt['job']): Promise<void> {
  await retryFailedItems(tables, payloadId ?? '');
  await forgetRefusals(tables, jobId);
}

/** Calls `act` for the first time after a second. Calls that come before it has resolved call it as well. */
function atMostEverySecond(act: () => Promise<unknown>): () => Promise<void> {
  let last = performance.now();
  return async () => {
    const now = performance.now();
    if (now - last < CHECKPOINT_EVERY_MS) return;
    await act();
    last = now;
  };
}

/**
 * While the log is away one checkpoint waits to be written and the work goes on, because an attempt must not become too slow by it.
 * Checkpoints that come meanwhile are left out; the next one includes them.
 */
function checkpoints({ events, number: attempt }: Attempt): Work['progress'] {
  let last = performance.now();
  let recorded = '';
  let isWriting = false;
  let written = Promise.resolve();
  return async ({ done, total, failed }) => {
    if (isWriting) return;
    await written;
    const now = performance.now();
    const counts = JSON.stringify([done, total, failed]);
    if (now - last < CHECKPOINT_EVERY_MS || counts === recorded) return;
    [last, recorded, isWriting] = [now, counts, true];
    written = events.append({ type: 'Progress', attempt, done, total, failed });
    void written.catch(() => undefined).finally(() => (isWriting = false));
  };
}

interface Effect {
  readonly job_id: string;
  readonly effect: string;
}

/** Effects that must not happen twice. Those that happen at the same time are remembered in one commit. */
function createEffects(tables: Database) {
  const text = `INSERT INTO job_effects (job_id, effect)
    SELECT * FROM json_to_recordset($1) AS e (job_id text, effect text) ON CONFLICT DO NOTHING`;
  const remember = batchWrites<Effect>((done) =>
    tables.query({ name: 'remember-effects', text, values: [JSON.stringify(done)] }),
  );
  return {
    remember: (job_id: string, effect: string) => remember({ job_id, effect }),
    async wasDone(jobId: string, effect: string): Promise<boolean> {
      const found = 'SELECT FROM job_effects WHERE job_id = $1 AND effect = $2';
      return (await tables.query({ name: 'was-done', text: found, values: [jobId, effect] })).length > 0;
    },
  };
}
