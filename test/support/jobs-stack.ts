import { type JobsApp, startJobsApp } from './jobs-faults.ts';
import { begin, mailsTo, newPlaylist, unfinishedJobs, untilOver } from './jobs-client.ts';
import { answers } from './observed.ts';
import type { Stack } from './shared-stack.ts';
import { startSmtpServer, type TestSmtpServer } from './smtp-server.ts';

/** One process on an embedded log, and a mail server with faults. Suites run it with settings of their own. */
export interface JobsStack extends Stack {
  readonly app: JobsApp;
  readonly smtp: TestSmtpServer;
  /** A playlist with one song. */
  readonly playlist: string;
  /** New addresses. */
  newAddresses(count: number, name?: string): string[];
}

const WITHIN_MS = 60_000;

export async function startJobsStack(): Promise<JobsStack> {
  const smtp = await startSmtpServer();
  const app = await startJobsApp({ env: smtp.settings });
  const playlist = await newPlaylist(app.admin);
  let [names, isBroken] = [0, false];
  const newAddresses = (count: number, name = 'u') =>
    Array.from({ length: count }, () => `${name}${++names}@example.com`);
  return {
    app,
    smtp,
    playlist,
    newAddresses,
    get isBroken() {
      return isBroken;
    },
    async mustBeHealthy() {
      if (!(await answers(app.process()))) await app.replace();
      const id = await begin(app.admin, '/messages', mailsTo(newAddresses(1))[0]!);
      const [job] = await untilOver(app.admin, [id], WITHIN_MS);
      if (job?.state !== 'succeeded') throw new Error(`a mail is not sent: ${JSON.stringify(job)}`);
    },
    /** Jobs left by a failed test would run in the next one. */
    async repair() {
      await smtp.behave({ does: 'well' });
      isBroken = !(await answers(app.process())) || (await unfinishedJobs(app.admin)).length > 0;
    },
    async stop() {
      await app.stop();
      await smtp.stop();
    },
  };
}
