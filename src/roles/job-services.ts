import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { AppError } from '../errors.ts';
import { rateOf } from '../http/rate-limits.ts';
import type { Breakers } from '../jobs/breakers.ts';
import { guardedFiles } from '../jobs/guarded-files.ts';
import { JobFailure, type JobServices } from '../jobs/job-type.ts';
import { createMailTurns, type MailRate } from '../jobs/mail-turns.ts';
import { createRefusals } from '../jobs/refusals.ts';
import type { StoredFiles } from '../jobs/stored-files.ts';
import type { Database } from '../postgres/pool.ts';
import { domainOf } from '../providers/mail/address.ts';
import type { MailRegistry } from '../providers/mail/providers.ts';
import { type Context, storedFilesOf } from './context.ts';
import { filesBreaker, mailBreaker } from './lanes.ts';
import type { Services } from './services.ts';

interface JobServiceParts extends Services {
  readonly mail: MailRegistry;
  readonly breakers: Breakers;
}

/** What job types work with. */
export async function createJobServices(
  { config, faults, resources }: Context,
  { reads, commands, files, mail, breakers }: JobServiceParts,
): Promise<JobServices> {
  const scratch = path.resolve(config.DATA_DIR, 'scratch', config.NAMESPACE);
  await mkdir(scratch, { recursive: true });
  const { admin: tables } = resources;
  return {
    claim: claimOf(storedFilesOf(config, tables)),
    mailTurn: mailTurnOf(rateOf(config.RATE_MAILS), tables),
    noteRefusal: createRefusals(tables, config.MAIL_RETRY_HOURS * 3_600_000),
    failedDomainOf: (provider) => breakers.failedDomainOf(mailBreaker(provider)),
    database: reads,
    commands,
    scratch,
    dummySeconds: config.DUMMY_SECONDS,
    attemptMs: config.JOB_ATTEMPT_SECONDS * 1_000,
    files: guardedFiles(files, breakers, filesBreaker(config)),
    async send(provider, letter, signal) {
      faults['before-mail']?.();
      const act = (either: AbortSignal) => mail.send(provider, letter, either);
      const answer = await breakers.call(mailBreaker(provider), signal, act, domainOf(letter.to));
      faults['after-mail']?.();
      return answer;
    },
  };
}

/** Another attempt would have no more room. */
const claimOf =
  ({ claim }: Pick<StoredFiles, 'claim'>): JobServices['claim'] =>
  (file) =>
    claim(file).catch((error: unknown) => {
      const isRefusal = error instanceof AppError && error.kind === 'too-many';
      throw isRefusal ? new JobFailure('never', error.code, error.message, { cause: error }) : error;
    });

function mailTurnOf(rate: MailRate | undefined, tables: Database): JobServices['mailTurn'] {
  if (!rate) return () => Promise.resolve();
  const take = createMailTurns(tables, rate);
  return async (mail) => {
    const pauseMs = await take(mail);
    if (pauseMs === 0) return;
    const message = `an address gets ${rate.count} mails in ${rate.seconds} s at most`;
    throw new JobFailure('later', 'MAILBOX_FULL', message, { pauseMs });
  };
}
