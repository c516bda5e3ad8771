import { afterAll, beforeAll, expect, it } from '@jest/globals';
import pg from 'pg';
import { createPlacement } from '../../src/events/placement.ts';
import type { StoredRecord } from '../../src/events/record.ts';
import type { EventLog } from '../../src/log/event-log.ts';
import { openKafkaLog } from '../../src/log/kafka.ts';
import { type JobsApp, runOrThrow, startJobsApp } from '../support/jobs-faults.ts';
import { begin, beginAll, codesOf, jobsOf, mailsTo, newPlaylist, untilOver } from '../support/jobs-client.ts';
import { cloneDatabase } from '../support/servers/database.ts';
import { describeWithKafka } from '../support/servers/index.ts';
import { startSmtpServer, type TestSmtpServer } from '../support/smtp-server.ts';
import { recordsOf } from '../support/records.ts';

const WITHIN_MS = 60_000;
const TIME_MS = 240_000;
const NO_WORKER = { ROLES: 'api,projector' };

describeWithKafka('jobs in the log', ({ brokers }) => {
  let app: JobsApp;
  let smtp: TestSmtpServer;
  let log: EventLog;
  let playlist: string;
  beforeAll(async () => {
    smtp = await startSmtpServer();
    log = await openKafkaLog({ brokers, clientId: 'jobs-log', logger: () => undefined });
    app = await startJobsApp({ env: smtp.settings, brokers });
    playlist = await newPlaylist(app.admin);
  }, TIME_MS);
  afterAll(async () => {
    await log.close();
    await app.stop();
    await smtp.stop();
  });

  let names = 0;
  const newAddresses = (count: number) => Array.from({ length: count }, () => `u${++names}@example.com`);
  const counted = (addresses: readonly string[]) =>
    addresses.map((address) => smtp.mails.filter(({ to }) => to.includes(address)).length);
  const once = (addresses: readonly string[]) => addresses.map(() => 1);

  const sendTo = (addresses: readonly string[]) => beginAll(app.admin, '/messages', mailsTo(addresses));
  const exportTo = (targetEmail: string) => begin(app.admin, `/export/playlists/${playlist}`, { targetEmail });

  /** The process stops cleanly, and another one starts. */
  async function restart(more?: Record<string, string>): Promise<void> {
    expect(await app.process().end('SIGTERM')).toBe(0);
    await app.replace(more);
  }

  /** Unfinished work is done when jobs that were requested later are done. */
  async function untilIdle(): Promise<void> {
    const [address = ''] = newAddresses(1);
    const ids = [await exportTo(address), ...(await sendTo(newAddresses(4)))];
    const jobs = await untilOver(app.admin, ids, WITHIN_MS);
    expect(jobs.map(({ state }) => state)).toEqual(ids.map(() => 'succeeded'));
  }

  async function appendAgain(jobId: string): Promise<void> {
    const where = createPlacement(app.env.NAMESPACE!, Number(app.env.PARTITIONS)).place(jobId);
    const [end] = await log.ends([where]);
    let found: StoredRecord | undefined;
    for (let offset = 0; !found && offset < end!.offset;) {
      const records = recordsOf(await log.read({ ...where, offset }));
      found = records.find(({ key }) => key === jobId);
      offset += records.length;
    }
    const { key, value, headers } = found!;
    await log.append([{ ...where, record: { key, value, headers } }]);
  }

  it(
    'are accepted and visible while no worker runs, and done once when one does, even if they were requested twice',
    async () => {
      await restart(NO_WORKER);
      const [exported = '', ...mailed] = newAddresses(4);
      const ids = [await exportTo(exported), ...(await sendTo(mailed))];
      for (const id of ids) await appendAgain(id);
      expect((await jobsOf(app.admin, ids)).map(({ state }) => state)).toEqual(ids.map(() => 'queued'));
      await restart();
      const jobs = await untilOver(app.admin, ids, WITHIN_MS);
      expect(jobs.map(({ state, attempts }) => [state, attempts.length])).toEqual(ids.map(() => ['succeeded', 1]));
      for (const id of ids) await appendAgain(id);
      await untilIdle();
      expect(counted([exported, ...mailed])).toEqual(once(ids));
      expect(await jobsOf(app.admin, ids)).toEqual(jobs);
    },
    TIME_MS,
  );

  it(
    'are not done again when read models and queues are rebuilt',
    async () => {
      const [exported = '', ...mailed] = newAddresses(4);
      const ids = [await exportTo(exported), ...(await sendTo(mailed))];
      const jobs = await untilOver(app.admin, ids, WITHIN_MS);
      const before = smtp.mails.length;
      expect(await runOrThrow(['projections', 'rebuild'], app.env)).toContain('equals the live generation');
      expect(await app.process().end('SIGTERM')).toBe(0);
      const dropped = await dropQueues();
      await app.replace();
      expect(dropped).toBe(3);
      expect(smtp.mails).toHaveLength(before);
      await untilIdle();
      expect(counted([exported, ...mailed])).toEqual(once(ids));
      expect(await jobsOf(app.admin, ids)).toEqual(jobs);
    },
    TIME_MS,
  );

  async function dropQueues(): Promise<number> {
    const client = new pg.Client(app.connection);
    await client.connect();
    const like = `^${app.env.NAMESPACE}_(exporter|worker|scheduler)_`;
    const { rows } = await client.query<{ name: string }>(
      'SELECT nspname AS name FROM pg_namespace WHERE nspname ~ $1',
      [like],
    );
    for (const { name } of rows) await client.query(`DROP SCHEMA "${name}" CASCADE`);
    await client.end();
    return rows.length;
  }

  it(
    'that ended after the backup from which Postgres is restored are not done again; lost data is reported',
    async () => {
      expect(await app.process().end('SIGTERM')).toBe(0);
      const { connection } = app;
      const backup = await cloneDatabase(connection, connection.database);
      try {
        await app.replace();
        const [exported = '', ...mailed] = newAddresses(4);
        const done = [await exportTo(exported), ...(await sendTo(mailed))];
        const dead = await untilOver(app.admin, done, WITHIN_MS);
        expect(dead.map(({ state }) => state)).toEqual(done.map(() => 'succeeded'));
        await restart(NO_WORKER);
        const lost = newAddresses(3);
        const batch = await begin(app.admin, '/messages/batch', { items: mailsTo(newAddresses(2)) });
        const waiting = [...(await sendTo(lost)), batch];
        const before = smtp.mails.length;
        expect(await app.process().end('SIGTERM')).toBe(0);
        const restored = { PGDATABASE: backup.connection.database };
        // A restored database has another identity: only a claim makes it the owner of the log.
        await runOrThrow(['log', 'adopt', '--claim'], { ...app.env, ...restored });
        await app.replace(restored);
        const jobs = await untilOver(app.admin, waiting, WITHIN_MS);
        expect(jobs.map((job) => [job.state, codesOf(job)])).toEqual(waiting.map(() => ['dead', ['PAYLOAD_LOST']]));
        expect(smtp.mails).toHaveLength(before);
        await untilIdle();
        expect(counted([exported, ...mailed])).toEqual(once(done));
        expect((await jobsOf(app.admin, done)).map(({ state }) => state)).toEqual(done.map(() => 'succeeded'));
      } finally {
        await app.process().end('SIGTERM');
        await backup.drop();
      }
    },
    TIME_MS,
  );
});
