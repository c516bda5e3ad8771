import { ProviderError } from '../failure.ts';
import { asciiAddress } from './address.ts';
import type { Mail } from './mail.ts';

/** It names a file and stands in headers. */
const MESSAGE_ID = /^\w[\w.+-]{0,127}@\w[\w.-]{0,63}$/;

/** The mail as every provider may take it: to exactly one address, which is in ASCII, and under a name of ours. */
export function mustBeSendable(mail: Mail): Mail {
  const to = asciiAddress(mail.to);
  if (to === undefined) throw new ProviderError('permanent', 'MAIL_ADDRESS', 'The recipient is not one plain address.');
  if (!MESSAGE_ID.test(mail.messageId)) {
    throw new ProviderError('permanent', 'MAIL_MESSAGE_ID', `${JSON.stringify(mail.messageId)} is no Message-ID.`);
  }
  return { ...mail, to };
}

export const aborted = (signal: AbortSignal) =>
  new ProviderError('retryable', 'MAIL_ABORTED', 'The mail was given up while it was being sent.', signal.reason);

export const stopped = () => new ProviderError('retryable', 'MAIL_STOPPED', 'Mail is no longer sent here.');
