import { setTimeout as delay } from 'node:timers/promises';
import { accounts, tokenOf } from '../accounts.ts';
import { type Comparison, type Figure, isWanted, type Plan } from '../figure.ts';
import { dummies, type Jobs, openJobs, startJobs } from '../jobs.ts';
import { forJobs, unflushed } from '../shapes.ts';
import { type Server, type Stack, startStack } from '../stack.ts';
import { type Contestant, type Sample, takeTurns } from '../turns.ts';
import { comparisonOf } from '../writes.ts';

const CONCURRENCY = 2;
const DURATION_MS = 200;
const WORKERS = 4;
const ACCOUNTS = 20;
/** Jobs for each worker, of which some are done before all workers are there. */
const EACH = 300;
const QUICK_EACH = 40;
const ONE = '1 worker';

export const jobsWorkers: Figure = {
  name: 'jobs-workers',
  about: `jobs of ${DURATION_MS} ms, by ${WORKERS} workers and by one`,
  method: `${EACH} \`dummy\` jobs for each worker are accepted. Then processes with the role \`worker\` are started, all at once
(\`WORKER_CONCURRENCY=${CONCURRENCY}\`), which begin to work as they come; once all are ready the read models are asked how many jobs succeed
in the time of a turn. Then the workers are stopped one after the other, while jobs wait, and whatever is left is done by one that
joins before the last one leaves. If a job has not succeeded, or took another number of attempts than one, the figure fails.`,
  overHttp: false,
  async run(plan) {
    if (!isWanted(plan, unflushed.name)) return [];
    plan.say(`${unflushed.name}: starting`);
    const stack = await startStack(forJobs(unflushed, { WORKER_CONCURRENCY: String(CONCURRENCY) }));
    const jobs = await openJobs(stack);
    try {
      return [await compare(stack, jobs, plan)];
    } finally {
      await jobs.close();
      await stack.stop();
    }
  },
};

async function compare(stack: Stack, jobs: Jobs, plan: Plan): Promise<Comparison> {
  let total = 0;
  const contestant = (name: string, workers: number): Contestant => ({
    name,
    async run() {
      const count = workers * (plan.quick ? QUICK_EACH : EACH);
      total += count;
      return turn(stack, jobs, { workers, count, total, ms: plan.seconds * 1_000 });
    },
  });
  const outcomes = await takeTurns([contestant(`${WORKERS} workers`, WORKERS), contestant(ONE, 1)], plan);
  const asked = [{ limit: ONE, atLeast: 3.6 }];
  return {
    ...comparisonOf(`${unflushed.name}, jobs of ${DURATION_MS} ms`, outcomes, 'perSecond', asked),
    notes: [`${total.toLocaleString('en')} jobs, each done at the first attempt`],
  };
}

interface Turn {
  readonly workers: number;
  readonly count: number;
  /** Of all turns so far. */
  readonly total: number;
  readonly ms: number;
}

async function turn(stack: Stack, jobs: Jobs, { workers, count, total, ms }: Turn): Promise<Sample> {
  await startJobs(stack.url, dummies(count, accounts(ACCOUNTS).map(tokenOf), DURATION_MS));
  const joined = await Promise.all(Array.from({ length: workers }, () => stack.start('worker')));
  const perSecond = await rateWithin(ms, jobs);
  await leave(joined, stack, jobs, count);
  await jobs.mustBeDoneOnce(total);
  return { perSecond };
}

async function rateWithin(ms: number, jobs: Jobs): Promise<number> {
  const look = async () => ({ ms: performance.now(), done: await jobs.count(['succeeded']) });
  const first = await look();
  await delay(ms);
  const last = await look();
  if ((await jobs.count(['queued'])) === 0) throw new Error('all jobs were done before the time was over');
  return ((last.done - first.done) / (last.ms - first.ms)) * 1_000;
}

/** One after the other, while another one joins, which does what is left. */
async function leave(workers: readonly Server[], stack: Stack, jobs: Jobs, count: number): Promise<void> {
  const joining = stack.start('worker');
  for (const worker of workers) await worker.stop();
  const last = await joining;
  await jobs.drain(count, last);
  await last.stop();
}
