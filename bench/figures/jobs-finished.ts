import { openBuild } from '../build.ts';
import { type Comparison, type Figure, isWanted, type Plan } from '../figure.ts';
import { fillFinished, openQueue, type WorkerQueue } from '../finished.ts';
import { closedLoop, measure } from '../load/meter.ts';
import { embedded } from '../shapes.ts';
import { type Ground, layGround } from '../stack.ts';
import { type Contestant, takeTurns } from '../turns.ts';
import { comparisonOf } from '../writes.ts';

const FINISHED = 1_000_000;
const QUICK_FINISHED = 10_000;
const WAITING = 1_000;
const NONE = 'no job finished';

export const jobsFinished: Figure = {
  name: 'jobs-finished',
  about: 'how long it takes to lease the next job once a million have finished',
  method: `Two PostgreSQL stand side by side, with all tables that our processes make. In one, ${FINISHED.toLocaleString('en')} jobs have
left what finished jobs leave: a row in \`jobs\`, one in \`job_attempts\`, one in \`job_payloads\`, three in \`stream_events\`, one of the stream's head
in the worker's schema, and nothing in \`job_queue\` and \`job_leases\`, through which all of them went in parts of 50,000, vacuumed after each.
In both, ${WAITING.toLocaleString('en')} jobs are due. In turns, one worker's leases are asked for the next job and give it back, again and again,
one at a time; measured is the asking.`,
  overHttp: false,
  run: async (plan) => (isWanted(plan, embedded.name) ? [await compare(plan)] : []),
};

async function compare(plan: Plan): Promise<Comparison> {
  const count = plan.quick ? QUICK_FINISHED : FINISHED;
  const grounds: Ground[] = [];
  const queues: WorkerQueue[] = [];
  try {
    for (const finished of [count, 0]) {
      const ground = await layGround(embedded);
      grounds.push(ground);
      await (await ground.start('all')).stop(); // it makes the tables
      const build = await openBuild(ground.connection);
      plan.say(`  filling with ${finished.toLocaleString('en')} finished jobs`);
      await fillFinished(build, finished, WAITING);
      await build.close();
      queues.push(openQueue(ground.connection));
    }
    const names = [`${count.toLocaleString('en')} jobs finished`, NONE];
    const contestants = queues.map((queue, index) => leasing(names[index] ?? '', queue, plan));
    for (const { run } of contestants) await run(); // to warm up
    const outcomes = await takeTurns(contestants, plan);
    const asked = [{ limit: NONE, atLeast: 0.8, atMost: 1.2 }];
    const comparison = comparisonOf('lease of the next job, p50', outcomes, 'p50Ms', asked);
    return { ...comparison, notes: [] };
  } finally {
    await Promise.all(queues.map((queue) => queue.stop()));
    await Promise.all(grounds.map((ground) => ground.stop()));
  }
}

function leasing(name: string, queue: WorkerQueue, { seconds, warmUpSeconds }: Plan): Contestant {
  const window = { warmUpMs: warmUpSeconds * 1_000, measureMs: seconds * 1_000 };
  return {
    name,
    run: async () => ({
      ...(await measure(window, (meter) =>
        closedLoop(1, async () => {
          const began = performance.now();
          const job = await queue.take();
          meter.done(performance.now() - began);
          await queue.giveBack(job);
        })({ done: () => undefined, failed: () => meter.failed() }),
      )),
    }),
  };
}
