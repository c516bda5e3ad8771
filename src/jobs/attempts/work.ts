import { pausesOfJob } from '../backoff.ts';
import { againFailedItems, createItems } from '../items.ts';
import { JobFailure, type JobServices, type Work } from '../job-type.ts';
import { createRights, refusalOf, type Rights } from '../owner-rights.ts';
import { forgetRefusals } from '../refusals.ts';
import type { Database } from '../../postgres/pool.ts';
import { batchWrites } from '../../concurrency/batch.ts';
import type { Attempt, Handle } from './attempt.ts';

export interface WorkOptions {
  /** The namespace's own tables; its commits are durable. */
  readonly tables: Database;
  readonly tools: JobServices;
}

/** More often nobody needs to know how far it has come. */
const CHECKPOINT_EVERY_MS = 1_000;

/** Does what the job's type says, as long as the owner may have it done. */
export function working({ tables, tools }: WorkOptions): Handle {
  const effects = createEffects(tables);
  const rightsOf = createRights(tables);

  async function rightsFor({ job, type }: Attempt): Promise<Rights> {
    const rights = await rightsOf(job.ownerId);
    const refusal = refusalOf(type, rights);
    if (refusal) throw new JobFailure('never', refusal.code, refusal.message);
    return rights;
  }

  return async (attempt) => {
    const { job, type, number, signal } = attempt;
    const { isAdmin: ownerIsAdmin } = await rightsFor(attempt);
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
      mustBeAllowed: atMostEverySecond(() => rightsFor(attempt)),
      progress: checkpoints(attempt),
      once,
    };
    return { kind: 'completed', outcome: await type.work(work, tools) };
  };
}

async function beginAgain(tables: Database, { jobId, payloadId }: Attempt['job']): Promise<void> {
  await againFailedItems(tables, payloadId ?? '');
  await forgetRefusals(tables, jobId);
}

/** The first time a second after it was made. Until it resolves all that call it call it. */
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
 * While the log is away one waits to be written, and the work goes on: an attempt must not be too slow for that. Those that come
 * meanwhile are left out, the next one says more.
 */
function checkpoints({ events, number: attempt }: Attempt): Work['progress'] {
  let last = performance.now();
  let told = '';
  let isWriting = false;
  let written = Promise.resolve();
  return async ({ done, total, failed }) => {
    if (isWriting) return;
    await written;
    const now = performance.now();
    const news = JSON.stringify([done, total, failed]);
    if (now - last < CHECKPOINT_EVERY_MS || news === told) return;
    [last, told, isWriting] = [now, news, true];
    written = events.append({ type: 'Progress', attempt, done, total, failed });
    void written.catch(() => undefined).finally(() => (isWriting = false));
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
