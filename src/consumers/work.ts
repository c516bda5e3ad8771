import { pausesOfJob } from '../jobs/backoff.ts';
import { againFailedItems, createItems } from '../jobs/items.ts';
import { JobFailure, type Tools, type Work } from '../jobs/job-type.ts';
import { createRights, refusalOf, type Rights } from '../jobs/owner-rights.ts';
import { forgetRefusals } from '../jobs/refusals.ts';
import type { Database } from '../postgres/pool.ts';
import { writtenTogether } from '../together.ts';
import type { Attempt, Handle } from './attempt.ts';

export interface WorkOptions {
  /** The namespace's own tables; its commits are durable. */
  readonly tables: Database;
  readonly tools: Tools;
}

/** More often nobody needs to know how far it has come. */
const CHECKPOINT_EVERY_MS = 1_000;

/** Does what the job's type says, as long as the owner may have it done. */
export function working({ tables, tools }: WorkOptions): Handle {
  const effects = createEffects(tables);
  const rightsOf = createRights(tables);

  async function mustBeAllowed({ job, type }: Attempt): Promise<Rights> {
    const rights = await rightsOf(job.ownerId);
    const refusal = refusalOf(type, rights);
    if (refusal) throw new JobFailure('never', refusal.code, refusal.message);
    return rights;
  }

  return async (attempt) => {
    const { job, type, number, signal } = attempt;
    const { isAdmin: ownerIsAdmin } = await mustBeAllowed(attempt);
    if (job.payloadId !== null && job.payload === null) {
      throw new JobFailure('never', 'PAYLOAD_LOST', 'What the job needs is not kept any more.');
    }
    const once: Work['once'] = async (effect, act) => {
      if (number > 1 && (await effects.wasDone(job.jobId, effect))) return;
      await act();
      await effects.remember(job.jobId, effect);
    };
    if (job.againAfter > 0) await once(`again after ${job.againAfter}`, () => beginAgain(tables, job));
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
      progress: checkpoints(attempt, () => mustBeAllowed(attempt)),
      once,
    };
    return { kind: 'completed', outcome: await type.work(work, tools) };
  };
}

async function beginAgain(tables: Database, { jobId, payloadId }: Attempt['job']): Promise<void> {
  await againFailedItems(tables, payloadId ?? '');
  await forgetRefusals(tables, jobId);
}

/** A long attempt ends at the next checkpoint after its owner has lost the right to it. */
function checkpoints({ events, number: attempt }: Attempt, mustBeAllowed: () => Promise<unknown>): Work['progress'] {
  let last = performance.now();
  let allowedAt = last;
  let told = '';
  return async (progress) => {
    const { done, total, failed } = progress;
    const now = performance.now();
    if (now - allowedAt >= CHECKPOINT_EVERY_MS) {
      await mustBeAllowed();
      allowedAt = now;
    }
    const news = JSON.stringify([done, total, failed]);
    if (now - last < CHECKPOINT_EVERY_MS || news === told) return;
    [last, told] = [now, news];
    await events.append({ type: 'Progress', attempt, done, total, failed });
  };
}

interface Effect {
  readonly job_id: string;
  readonly effect: string;
}

/** What was done that must not be done twice. What is done at the same time is remembered in one commit. */
function createEffects(tables: Database) {
  const text = `INSERT INTO job_effects (job_id, effect)
    SELECT * FROM json_to_recordset($1) AS e (job_id text, effect text) ON CONFLICT DO NOTHING`;
  const remember = writtenTogether<Effect>((done) =>
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
