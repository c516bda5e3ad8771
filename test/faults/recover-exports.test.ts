import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type JobsApp, startJobsApp } from '../support/jobs-faults.ts';
import { beginAll, jobsOf, newPlaylist, untilOver } from '../support/jobs-client.ts';
import { openmusic } from '../support/processes.ts';
import { describeWithNativeKafka, type NativeKafka, startNativeKafka } from '../support/servers/index.ts';
import { startSmtpServer, type TestSmtpServer } from '../support/smtp-server.ts';

const LONG_MS = 400_000;
const WITHIN_MS = 120_000;
/** Jobs stay queued. */
const IDLE = { ROLES: 'api,projector' };

describeWithNativeKafka('a broker that was restored from an older copy', () => {
  let home: string;
  let broker: NativeKafka;
  let smtp: TestSmtpServer;
  let app: JobsApp;
  let playlist: string;

  beforeAll(async () => {
    home = await mkdtemp(path.join(tmpdir(), 'openmusic-restored-'));
    broker = await startNativeKafka({ dir: path.join(home, 'broker') });
    smtp = await startSmtpServer();
    app = await startJobsApp({ brokers: broker.brokers, env: smtp.settings });
    playlist = await newPlaylist(app.admin);
  }, LONG_MS);
  afterAll(async () => {
    await app.stop();
    await smtp.stop();
    await broker.stop();
    await rm(home, { recursive: true });
  });

  const exportTo = (...addresses: string[]) =>
    beginAll(app.admin, `/export/playlists/${playlist}`, addresses.map((name) => ({ targetEmail: `${name}@x.org` }))); // prettier-ignore
  const recover = (answer: string) => openmusic(['log', 'recover', '--answer', answer], app.env);

  /** Replaces the broker's data by a copy of `from`, or saves a copy there. */
  async function withBrokerDown(work: (data: string) => Promise<void>): Promise<void> {
    await app.process().end('SIGKILL');
    await broker.kill();
    await work(path.join(home, 'broker', 'data'));
    await broker.restart();
  }

  it(
    'recovers finished and waiting jobs: every export is done, and no mail is sent twice',
    async () => {
      const done = await exportTo('done-1', 'done-2');
      await untilOver(app.admin, done, WITHIN_MS);
      await app.replace(IDLE);
      const waiting = await exportTo('waiting-1', 'waiting-2');
      const copy = path.join(home, 'copy');
      await withBrokerDown((data) => cp(data, copy, { recursive: true }));

      await app.replace();
      const later = await exportTo('later-1', 'later-2');
      await untilOver(app.admin, [...waiting, ...later], WITHIN_MS);
      await app.replace(IDLE);
      const queued = await exportTo('queued-1', 'queued-2');
      await withBrokerDown(async (data) => {
        await rm(data, { recursive: true });
        await cp(copy, data, { recursive: true });
      });

      const unasked = await openmusic(['log', 'recover'], app.env);
      expect(unasked).toMatchObject({ code: 1, output: expect.stringContaining('give it by --answer <word>') });
      const no = await recover('no');
      expect(no).toMatchObject({ code: 1, output: expect.stringContaining('Nothing was changed.') });
      // Of `waiting` the end is lost, of `later` everything, of `queued` the beginning stays.
      expect(no.output).toContain('appends the missing 12 events');
      const yes = await recover('append');
      expect(yes).toMatchObject({ code: 0, output: expect.stringContaining('The log is sound.') });
      expect(await recover('append')).toMatchObject({ code: 0, output: expect.stringContaining('agree') });

      await app.replace();
      const exports = [...done, ...waiting, ...later, ...queued];
      const jobs = await untilOver(app.admin, exports, WITHIN_MS);
      expect(jobs.map(({ state }) => state)).toEqual(exports.map(() => 'succeeded'));
      const addresses = smtp.mails.flatMap(({ to }) => to).toSorted();
      expect(addresses).toHaveLength(exports.length);
      expect(new Set(addresses).size).toBe(exports.length);
      expect((await jobsOf(app.admin, exports)).map(({ attempts }) => attempts.length)).toEqual(exports.map(() => 1));
      const rebuilt = await openmusic(['projections', 'rebuild'], app.env);
      expect(rebuilt).toMatchObject({ code: 0, output: expect.stringContaining('equals the live generation') });
      expect(await openmusic(['log', 'verify'], app.env)).toMatchObject({ code: 0 });
    },
    LONG_MS,
  );
});
