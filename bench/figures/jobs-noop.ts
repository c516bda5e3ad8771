import { accounts, tokenOf } from '../accounts.ts';
import { startBare } from '../bare.ts';
import type { Point } from '../served-generation.ts';
import type { BullJobs } from '../bullmq.ts';
import { type Comparison, type Figure, isWanted, type Plan } from '../figure.ts';
import { dummies, type Jobs, openJobs, rateOf, startJobs } from '../jobs.ts';
import { startLoader } from '../load/loader.ts';
import { startChild } from '../processes.ts';
import { CREATE_ALBUM } from '../requests.ts';
import { forJobs, unflushed } from '../shapes.ts';
import { type Stack, startStack } from '../stack.ts';
import { type Contestant, takeTurns } from '../turns.ts';
import { BARE, comparisonOf, floorOf, sampleOf } from '../writes.ts';

const CONCURRENCY = 256;
const JOBS = 5_000;
const QUICK_JOBS = 200;
const ACCOUNTS = 50;
const BULLMQ = 'BullMQ';
const ASKED = 1_500;

export const jobsNoop: Figure = {
  name: 'jobs-noop',
  about: 'jobs that do nothing, from accepted to recorded as done, three events each',
  method: `${JOBS.toLocaleString('en')} \`dummy\` jobs are accepted while no worker runs. Then a process with the role \`worker\` is
started (\`WORKER_CONCURRENCY=${CONCURRENCY}\`), and the read models are looked at every 50 ms until all have succeeded; the rate is that
of the jobs after the first fifth, in which the process warms up. *${BULLMQ}* does as many jobs, which do nothing either, in a new
process with the same concurrency, over the same Redis, which writes nothing to disk; they count once they are in its set of
completed jobs. *${BARE}* is loaded over ${CONCURRENCY} connections. If a job has not succeeded, or took another number of attempts
than one, the figure fails.`,
  overHttp: false,
  async run(plan) {
    if (!isWanted(plan, unflushed.name)) return [];
    plan.say(`${unflushed.name}: starting`);
    const stack = await startStack(forJobs(unflushed, { WORKER_CONCURRENCY: String(CONCURRENCY) }));
    try {
      return [await compare(stack, plan)];
    } finally {
      await stack.stop();
    }
  },
};

async function compare(stack: Stack, plan: Plan): Promise<Comparison> {
  const count = plan.quick ? QUICK_JOBS : JOBS;
  const [jobs, bare, loader] = [await openJobs(stack), await startBare(), startLoader(plan)];
  const load = { kind: 'http', url: bare.url, connections: CONCURRENCY, ...CREATE_ALBUM } as const;
  const contestants: Contestant[] = [
    ours(stack, jobs, count),
    { name: BULLMQ, run: async () => ({ perSecond: rateOf(await bullmq(stack, count), count) }) },
    { name: BARE, run: () => sampleOf(loader.run(load)) },
  ];
  try {
    const outcomes = await takeTurns(contestants, plan);
    return comparisonOf(`${unflushed.name}, recorded as done`, outcomes, 'perSecond', floorOf(ASKED));
  } finally {
    await Promise.all([jobs.close(), bare.stop(), loader.stop()]);
  }
}

function ours(stack: Stack, jobs: Jobs, count: number): Contestant {
  const tokens = accounts(ACCOUNTS).map(tokenOf);
  let total = 0;
  return {
    name: 'ours',
    async run() {
      await startJobs(stack.url, dummies(count, tokens));
      total += count;
      const worker = await stack.launch('worker');
      try {
        const points = await jobs.drain(count, worker);
        await jobs.mustBeDoneOnce(total);
        return { perSecond: rateOf(points, count) };
      } finally {
        await worker.stop();
      }
    },
  };
}

async function bullmq({ redis = '' }: Stack, count: number): Promise<Point[]> {
  const child = startChild('bench/bullmq.ts');
  try {
    const jobs: BullJobs = { redis, jobs: count, concurrency: CONCURRENCY };
    return (await child.ask(jobs)) as Point[];
  } finally {
    await child.stop();
  }
}
