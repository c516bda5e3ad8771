import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { openDatabase } from '../../src/postgres/pool.ts';
import type { Client } from '../support/client.ts';
import {
  describeDistributed,
  type Distributed,
  seedOfRun,
  type Settings,
  startDistributed,
} from '../support/distributed.ts';
import { newAdmin, SHORT_TIMES } from '../support/jobs-faults.ts';
import { overlapsOf, type Receiver, startReceiver } from '../support/jobs-receiver.ts';
import {
  begin,
  beginAll,
  codesOf,
  jobOf,
  jobsOf,
  isOver,
  mailsTo,
  untilJob,
  untilOver,
} from '../support/jobs-client.ts';
import { eventually, metricOf } from '../support/observed.ts';
import type { OpenMusicProcess } from '../support/processes.ts';

const MAILS = 300;
const TAKES_MS = 200;
const CONCURRENCY = 4;
/** How long the replacement of a killed or frozen worker waits. As short as a busy machine allows. */
const JOB_LEASE_SECONDS = '4';
const TIME_MS = 180_000;
const WITHIN_MS = 60_000;

describeDistributed('workers', () => {
  let system: Distributed;
  let admin: Client;
  let receiver: Receiver;
  const running: OpenMusicProcess[] = [];
  beforeAll(async () => {
    receiver = await startReceiver();
    const settings = { JOB_LEASE_SECONDS, WORKER_CONCURRENCY: String(CONCURRENCY), LOG_LEVEL: 'debug' };
    system = await startDistributed({ env: { ...SHORT_TIMES, ...receiver.settings, ...settings } });
    admin = await newAdmin(system.apis[0]!.url, system.env);
  }, TIME_MS);
  afterAll(async () => {
    await system.stop();
    await receiver.stop();
  });
  afterEach(async () => {
    receiver.take(() => Promise.resolve());
    await Promise.all(running.splice(0).map((worker) => worker.end('SIGKILL')));
  });

  async function startWorker(settings?: Settings): Promise<OpenMusicProcess> {
    const worker = await system.startWorker('worker', settings);
    running.push(worker);
    return worker;
  }

  let names = 0;
  const newMails = (count: number) => mailsTo(Array.from({ length: count }, () => `u${++names}@example.com`));
  const callsOf = (id: string) => receiver.calls.filter(({ messageId }) => messageId.startsWith(id));
  const untilCalls = (id: string, count: number) =>
    eventually(`${id} is at the receiver ${count} times`, () => callsOf(id).length === count, WITHIN_MS);

  it(
    'that join, crash and leave never process one job at the same time, nor repeat a completed one',
    async () => {
      const seed = seedOfRun();
      process.stdout.write(`SEED=${seed}\n`);
      receiver.take(() => delay(TAKES_MS));
      const [first, second] = await Promise.all([startWorker(), startWorker()]);
      const ids = await beginAll(admin, '/messages', newMails(MAILS));
      const done = (share: number) =>
        eventually(
          `${share} of the mails are sent`,
          () => receiver.calls.filter(({ isAnswered }) => isAnswered).length >= MAILS * share,
          WITHIN_MS,
        );
      const soon = (seed % 20) / 100;
      await done(0.1 + soon);
      await first.end('SIGKILL');
      const third = await startWorker();
      await done(0.4 + soon);
      expect(await second.end('SIGTERM')).toBe(0);
      await startWorker();
      await done(0.7 + soon);
      await third.end('SIGKILL');
      const jobs = await untilOver(admin, ids, WITHIN_MS);
      expect(jobs.filter(({ state }) => state !== 'succeeded')).toEqual([]);
      expect(overlapsOf(receiver.calls)).toEqual([]);
      const isLost = (job: (typeof jobs)[number]) => codesOf(job).includes('WORKER_LOST');
      const again = jobs.filter(({ id }) => callsOf(id).length > 1);
      expect(again.filter((job) => !isLost(job)).map(codesOf)).toEqual([]);
      // Two were killed, each with at most this many mails in progress.
      expect(again.length).toBeLessThanOrEqual(2 * CONCURRENCY);
      expect(jobs.filter(isLost).length).toBeGreaterThan(0);
      expect(jobs.flatMap(({ attempts }) => attempts.slice(1).filter(({ startedAt }, index) => attempts[index]!.finishedAt! > startedAt))).toEqual([]); // prettier-ignore
    },
    TIME_MS,
  );

  it(
    'that are frozen longer than their lease record nothing when they resume, during or after the other worker’s attempt',
    async () => {
      let next = await startWorker();
      for (const when of ['while', 'after'] as const) {
        const zombie = next;
        const completed = await endingsOf(zombie, 'completed');
        const [frozen, successor] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
        receiver.take(() => frozen.promise);
        const id = await begin(admin, '/messages', newMails(1)[0]!);
        await untilCalls(id, 1);
        zombie.freeze();
        receiver.take(() => successor.promise);
        next = await startWorker();
        await untilCalls(id, 2);
        if (when === 'after') {
          successor.resolve();
          await untilOver(admin, [id], WITHIN_MS);
        }
        frozen.resolve();
        zombie.thaw();
        await eventually('the zombie has lost', () => hasEnded(zombie, 'lost', 1), WITHIN_MS);
        if (when === 'while') {
          const { state, attempts } = await jobOf(admin, id);
          expect([state, attempts.length]).toEqual(['running', 2]);
          successor.resolve();
        }
        const [job] = await untilOver(admin, [id], WITHIN_MS);
        expect([job?.state, codesOf(job!)]).toEqual(['succeeded', ['WORKER_LOST', undefined]]);
        expect(callsOf(id)).toHaveLength(2);
        expect(await endingsOf(zombie, 'completed')).toBe(completed);
        await zombie.end('SIGKILL');
      }
    },
    TIME_MS,
  );

  it(
    'that learn of jobs before the read models have them start them as soon as the read models do, not a lease later',
    async () => {
      await startWorker({ JOB_LEASE_SECONDS: '600' });
      const projector = system.projectors[0]!;
      projector.freeze();
      const starting = beginAll(
        admin,
        '/jobs',
        Array.from({ length: 20 }, () => ({ type: 'dummy' })),
      );
      await eventually('some are leased', async () => (await leasesOf(system)) > 0, WITHIN_MS);
      projector.thaw();
      const jobs = await untilOver(admin, await starting, WITHIN_MS);
      expect(jobs.map((job) => [job.state, codesOf(job)])).toEqual(jobs.map(() => ['succeeded', [undefined]]));
    },
    TIME_MS,
  );

  it(
    'stop when the job that they process is cancelled, and record nothing for it',
    async () => {
      const worker = await startWorker();
      const slow = await begin(admin, '/jobs', { type: 'dummy', payload: { duration: 600_000 } });
      await untilJob(admin, slow, 'runs', ({ state }) => state === 'running', WITHIN_MS);
      expect((await admin.delete(`/jobs/${slow}`)).status).toBe(200);
      await eventually('the work is aborted', () => hasEnded(worker, 'lost', 1), WITHIN_MS);

      const answer = Promise.withResolvers<void>();
      receiver.take(() => answer.promise);
      const id = await begin(admin, '/messages', newMails(1)[0]!);
      await untilCalls(id, 1);
      worker.freeze();
      expect((await admin.delete(`/jobs/${id}`)).status).toBe(200);
      answer.resolve();
      worker.thaw();
      await eventually('the worker has lost', () => hasEnded(worker, 'lost', 2), WITHIN_MS);
      const jobs = await jobsOf(admin, [slow, id]);
      expect(jobs.map((job) => [job.state, codesOf(job)])).toEqual([
        ['cancelled', ['CANCELLED']],
        ['cancelled', ['CANCELLED']],
      ]);
      expect(callsOf(id)).toHaveLength(1);
      const next = await begin(admin, '/jobs', { type: 'dummy' });
      expect((await untilOver(admin, [next], WITHIN_MS)).every(isOver)).toBe(true);
    },
    TIME_MS,
  );
});

/** How many jobs are leased. */
async function leasesOf({ connection, namespace }: Distributed): Promise<number> {
  const database = openDatabase(connection, { name: 'leases', max: 1, searchPath: [namespace, 'public'] });
  try {
    const text = 'SELECT count(*) AS count FROM job_leases WHERE expires_at > now()';
    return (await database.query<{ count: number }>({ text }))[0]!.count;
  } finally {
    await database.stop();
  }
}

/** How many of its attempts ended with this outcome. */
const endingsOf = (worker: OpenMusicProcess, ending: string) =>
  metricOf(worker, 'openmusic_job_attempts_total', `ending="${ending}"`);

const hasEnded = async (worker: OpenMusicProcess, ending: string, count: number) =>
  (await endingsOf(worker, ending)) >= count;
