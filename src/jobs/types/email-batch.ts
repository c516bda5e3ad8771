import { z } from 'zod';
import { reasonOf } from '../../errors.ts';
import { ProviderError } from '../../providers/failure.ts';
import type { Item } from '../items.ts';
import { JobFailure, type JobType, type JobServices, type Work } from '../job-type.ts';
import { message, providerName, providerOf } from '../mailing.ts';
import { messageIdOf } from '../message-id.ts';
import { backoffMs } from '../backoff.ts';
import { eachItem } from '../each-item.ts';

const payload = z.strictObject({ items: z.array(message).min(1), provider: providerName });

/** Sends many mails. Each has its own retries; a refused one does not stop the others. */
export const emailBatch: JobType<z.output<typeof payload>> = {
  name: 'email-batch',
  access: 'admins',
  payload,
  backoff: 'exponential',
  plan: ({ items, provider }, { mail }) => ({ parameters: {}, items, provider: providerOf(provider, mail) }),
  work: (work, services) =>
    eachItem(
      work,
      (item) => sendItem(item, work, services),
      () => services.failedDomainOf(work.provider ?? ''),
      services.attemptMs / 2,
    ),
};

async function sendItem({ index, payload: kept, attempts }: Item, work: Work, services: JobServices): Promise<void> {
  const { jobId, provider = '', signal, items } = work;
  const mail = message.parse(kept);
  const sending = services.send(provider, { ...mail, messageId: messageIdOf(jobId, mail.to, index) }, signal);
  const sent = await sending.catch(async (error: unknown) => {
    if (signal.aborted || (error instanceof JobFailure && error.kind === 'deferred')) throw error;
    if (error instanceof ProviderError && error.kind === 'deferred') return defer(error, index, work, services);
    const isPermanent = (error instanceof ProviderError && error.kind === 'permanent') || attempts + 1 >= work.allowed;
    if (isPermanent) await items.failed(index, reasonOf(error));
    else await items.postpone(index, reasonOf(error), backoffMs(work.pauses, attempts + 1));
  });
  // Outside of the catch above: a failed write must not count against a mail that was sent.
  if (sent !== undefined) await items.done(index, sent);
}

/** Defers one mail of a refused recipient. The other mails go out meanwhile. */
async function defer(
  { message: error }: ProviderError,
  item: number,
  { jobId, items }: Work,
  { noteRefusal }: JobServices,
): Promise<void> {
  const pauseMs = await noteRefusal({ jobId, item });
  await (pauseMs === undefined ? items.failed(item, error) : items.defer(item, error, pauseMs));
}
