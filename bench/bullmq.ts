import { setTimeout as delay } from 'node:timers/promises';
import { Queue, Worker } from 'bullmq';
import { answerQuestions } from './answers.ts';
import type { Point } from './served-generation.ts';

/** Runs jobs that do nothing in a queue of BullMQ. */
export interface BullJobs {
  readonly redis: string;
  readonly jobs: number;
  readonly concurrency: number;
}

const NAME = 'bench';
const BATCH = 1_000;
const LOOK_EVERY_MS = 50;

/** Adds all jobs, and then works on them. Returns how many were recorded as completed, at each poll. */
answerQuestions(async ({ redis, jobs, concurrency }: BullJobs): Promise<Point[]> => {
  const connection = { host: new URL(redis).hostname, port: Number(new URL(redis).port) };
  const queue = new Queue(NAME, { connection });
  try {
    for (let added = 0; added < jobs; added += BATCH) {
      const some = Math.min(BATCH, jobs - added);
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
