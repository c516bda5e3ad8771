import type { z } from 'zod';
import type { JobType } from '../job-type.ts';
import { message, providerName, providerOf } from '../mailing.ts';
import { messageIdOf } from '../message-id.ts';

const payload = message.extend({ provider: providerName });

/** Sends one mail. */
export const email: JobType<z.output<typeof payload>> = {
  name: 'email',
  access: 'admins',
  payload,
  backoff: 'exponential',
  plan: ({ provider, ...mail }, { mail: choice }) => ({
    parameters: {},
    payload: mail,
    provider: providerOf(provider, choice),
  }),
  async work({ jobId, provider = '', payload: kept, signal, once }, { send }) {
    const mail = message.parse(kept);
    await once('mail', () => send(provider, { ...mail, messageId: messageIdOf(jobId, mail.to) }, signal));
    return {};
  },
};
