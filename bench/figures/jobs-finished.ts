import { openBuild } from '../build.ts';
import { type Comparison, type Figure, isWanted, type Plan } from '../figure.ts';
import { fillFinished, fillFuture, openQueue, type WorkerQueue } from '../finished.ts';
import { closedLoop, measure } from '../load/meter.ts';
import { embedded } from '../shapes.ts';
import { type Ground, layGround } from '../stack.ts';
import { type Contestant, takeTurns } from '../turns.ts';
import { comparisonOf } from '../writes.ts';

const FINISHED = 1_000_000;
const QUICK_FINISHED = 10_000;
const WAITING = 1_000;
const FUTURE = 10_000;
const QUICK_FUTURE = 100;
const NONE = 'no job finished';

export const jobsFinished: Figure = {
  name: 'jobs-finished',
  about:
    'how long it takes to lease the next job once a million have finished, and beside ten thousand accounts with jobs for later',
  method: `Three PostgreSQL stand side by side, with all tables that our processes make. In one, ${FINISHED.toLocaleString('en')} jobs have
left what finished jobs leave: a row in \`jobs\`, one in \`job_attempts\`, one in \`job_payloads\`, three in \`stream_events\`, one of the stream's head
in the worker's schema, and nothing in \`job_queue\` and \`job_leases\`, through which all of them went in parts of 50,000, vacuumed after each.
In another one ${FUTURE.toLocaleString('en')} accounts have three jobs each that are due tomorrow.
In all of them, ${WAITING.toLocaleString('en')} jobs of 1,000 accounts are due. In turns, one worker's leases are asked for the next job and give it back, again and again,
one at a time; measured is the asking.`,
  overHttp: false,
  run: async (plan) => (isWanted(plan, embedded.name) ? compare(plan) : []),
};

async function compare(plan: Plan): Promise<Comparison[]> {
  const count = plan.quick ? QUICK_FINISHED : FINISHED;
  const grounds: Ground[] = [];
  const queues: WorkerQueue[] = [];
  try {
    const future = plan.quick ? QUICK_FUTURE : FUTURE;
    for (const [finished, later] of [
      [count, 0],
      [0, future],
      [0, 0],
    ] as const) {
      const ground = await layGround(embedded);
      grounds.push(ground);
      await (await ground.start('all')).stop(); // it makes the tables
      const build = await openBuild(ground.connection);
      plan.say(`  filling with ${finished.toLocaleString('en')} finished jobs`);
      await fillFinished(build, finished, WAITING);
      if (later > 0) await fillFuture(build, later);
      await build.close();
      queues.push(openQueue(ground.connection));
    }
    const later = `${future.toLocaleString('en')} accounts with jobs for later`;
    const names = [`${count.toLocaleString('en')} jobs finished`, later, NONE];
    const contestants = queues.map((queue, index) => leasing(names[index] ?? '', queue, plan));
    for (const { run } of contestants) await run(); // to warm up
    const outcomes = await takeTurns(contestants, plan);
    const asked = [{ limit: NONE, atLeast: 0.8, atMost: 1.2 }];
    const [many, ahead, none] = outcomes;
    if (!many || !ahead || !none) throw new Error('Nothing was measured.');
    return [
      comparisonOf('lease of the next job, p50', [many, none], 'p50Ms', asked),
      comparisonOf('lease of the next job beside jobs for later, p50', [ahead, none], 'p50Ms', asked),
    ].map((comparison) => ({ ...comparison, notes: [] }));
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
