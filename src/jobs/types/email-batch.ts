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

/** Sends many mails. Each is tried again by itself; one that is refused does not stop the others. */
export const emailBatch: JobType<z.output<typeof payload>> = {
  name: 'email-batch',
  access: 'admins',
  payload,
  backoff: 'exponential',
  plan: ({ items, provider }, { mail }) => ({ parameters: {}, items, provider: providerOf(provider, mail) }),
  work: (work, tools) =>
    eachItem(
      work,
      (item) => sendItem(item, work, tools),
      () => tools.failedDomainOf(work.provider ?? ''),
      tools.attemptMs / 2,
    ),
};

async function sendItem({ index, payload: kept, attempts }: Item, work: Work, tools: JobServices): Promise<void> {
  const { jobId, provider = '', signal, items } = work;
  const mail = message.parse(kept);
  const sending = tools.send(provider, { ...mail, messageId: messageIdOf(jobId, mail.to, index) }, signal);
  const sent = await sending.catch(async (error: unknown) => {
    if (signal.aborted || (error instanceof JobFailure && error.kind === 'later')) throw error;
    if (error instanceof ProviderError && error.kind === 'later') return defer(error, index, work, tools);
    const hopeless = (error instanceof ProviderError && error.kind === 'never') || attempts + 1 >= work.allowed;
    if (hopeless) await items.failed(index, reasonOf(error));
    else await items.postpone(index, reasonOf(error), backoffMs(work.pauses, attempts + 1));
  });
  // A database that cannot keep this is no fault of a mail that was sent.
  if (sent !== undefined) await items.done(index, sent);
}

/** The other recipients' mails go out meanwhile. */
async function defer(
  { message: error }: ProviderError,
  item: number,
  { jobId, items }: Work,
  { noteRefusal }: JobServices,
): Promise<void> {
  const pauseMs = await noteRefusal({ jobId, item });
  await (pauseMs === undefined ? items.failed(item, error) : items.defer(item, error, pauseMs));
}
