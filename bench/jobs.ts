import { setTimeout as delay } from 'node:timers/promises';
import { openServedGeneration, type Point, timeOf } from './served-generation.ts';
import { type Answer, forAll, post } from './requests.ts';
import type { Server, Stack } from './stack.ts';

/** A request by which a job is started. */
export interface JobStart {
  readonly path: string;
  readonly body: object;
  readonly token: string;
}

/** Starts the jobs, and returns their ids. */
export const startJobs = (url: string, starts: readonly JobStart[]): Promise<string[]> =>
  forAll(starts, async ({ path, body, token }) => jobIdOf(await post(url, path, body, token)));

function jobIdOf({ status, text }: Answer): string {
  if (status !== 201 && status !== 202) throw new Error(`not accepted: ${status} ${text}`);
  return (JSON.parse(text) as { data: { jobId: string } }).data.jobId;
}

/** Jobs of these accounts, in turn, that only take some milliseconds. */
export const dummies = (count: number, tokens: readonly string[], duration = 0): JobStart[] =>
  Array.from({ length: count }, (_, n) => ({
    path: '/jobs',
    body: { type: 'dummy', payload: { duration } },
    token: tokens[n % tokens.length] ?? '',
  }));

/** All jobs, as the generation of the read models that is served shows them. */
export interface Jobs {
  /** The number of jobs in these states. */
  count(states: readonly string[]): Promise<number>;
  /** Polls until so many have finished. Throws when the process ends before. */
  drain(total: number, worker: Server): Promise<Point[]>;
  /** Throws unless there are so many, and each has succeeded at the first attempt. */
  mustBeDoneOnce(total: number): Promise<void>;
  close(): Promise<void>;
}

const LOOK_EVERY_MS = 50;
const PATIENCE_MS = 60_000;

export async function openJobs({ connection }: Pick<Stack, 'connection'>): Promise<Jobs> {
  const { schema, client, close } = await openServedGeneration(connection);
  const unfinished = `SELECT count(*)::int AS n FROM "${schema}".jobs WHERE state NOT IN ('succeeded', 'dead', 'cancelled')`;
  const numberOf = async (text: string, values: unknown[] = []) =>
    (await client.query<{ n: number }>(text, values)).rows[0]?.n ?? NaN;

  const jobs: Jobs = {
    count: (states) => numberOf(`SELECT count(*)::int AS n FROM "${schema}".jobs WHERE state = ANY($1)`, [states]),
    async drain(total, worker) {
      const points: Point[] = [];
      const life = { running: true };
      void worker.ended.then(() => (life.running = false));
      for (let lastMs = performance.now(); ;) {
        const point = { ms: performance.now(), applied: total - (await numberOf(unfinished)) };
        if (point.applied > (points.at(-1)?.applied ?? 0)) lastMs = point.ms;
        points.push(point);
        if (point.applied === total) return points;
        if (!life.running || point.ms - lastMs > PATIENCE_MS)
          throw new Error(`only ${point.applied} of ${total} jobs have ended:\n${worker.output()}`);
        await delay(LOOK_EVERY_MS);
      }
    },
    async mustBeDoneOnce(total) {
      const succeeded = await jobs.count(['succeeded']);
      const attempts = await numberOf(`SELECT count(*)::int AS n FROM "${schema}".job_attempts`);
      if (succeeded !== total || attempts !== total)
        throw new Error(`of ${total} jobs ${succeeded} have succeeded, in ${attempts} attempts`);
    },
    close,
  };
  return jobs;
}

/** The first fifth does not count, because a new process is slow until its code is compiled. */
const BEGIN = 0.2;

/** Jobs per second, of those after the first fifth. */
export function rateOf(points: readonly Point[], total: number): number {
  const ms = timeOf(points, total) - timeOf(points, BEGIN * total);
  return (((1 - BEGIN) * total) / ms) * 1_000;
}
