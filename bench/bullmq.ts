import { setTimeout as delay } from 'node:timers/promises';
import { Queue, Worker } from 'bullmq';
import { answerQuestions } from './answers.ts';
import type { Point } from './build.ts';

/** Jobs that do nothing, in a queue of BullMQ. */
export interface BullJobs {
  readonly redis: string;
  readonly jobs: number;
  readonly concurrency: number;
}

const NAME = 'bench';
const AT_ONCE = 1_000;
const LOOK_EVERY_MS = 50;

/** Adds them all, and then works on them. How many were recorded as completed, at each look. */
answerQuestions(async ({ redis, jobs, concurrency }: BullJobs): Promise<Point[]> => {
  const connection = { host: new URL(redis).hostname, port: Number(new URL(redis).port) };
  const queue = new Queue(NAME, { connection });
  try {
    for (let added = 0; added < jobs; added += AT_ONCE) {
      const some = Math.min(AT_ONCE, jobs - added);
      await queue.addBulk(Array.from({ length: some }, () => ({ name: 'dummy', data: { duration: 0 } })));
    }
    const worker = new Worker(NAME, () => Promise.resolve({}), {
      connection: { ...connection, maxRetriesPerRequest: null },
      concurrency,
    });
    const points = await completed(queue, jobs);
    await worker.close();
    return points;
  } finally {
    await queue.obliterate({ force: true });
    await queue.close();
  }
});

async function completed(queue: Queue, jobs: number): Promise<Point[]> {
  const points: Point[] = [];
  for (;;) {
    const point = { ms: performance.now(), applied: await queue.getCompletedCount() };
    points.push(point);
    if (point.applied === jobs) return points;
    await delay(LOOK_EVERY_MS);
  }
}
