import { ProviderError } from '../failure.ts';
import { asciiAddress } from './address.ts';
import type { Mail } from './mail.ts';

/** A Message-ID names a file and is part of headers. */
const MESSAGE_ID = /^\w[\w.+-]{0,127}@\w[\w.-]{0,63}$/;

/** Gives the mail as providers need it: to exactly one address, in ASCII. Throws if its recipient or its Message-ID is invalid. */
export function mustBeSendable(mail: Mail): Mail {
  const to = asciiAddress(mail.to);
  if (to === undefined) throw new ProviderError('never', 'MAIL_ADDRESS', 'The recipient is not one plain address.');
  if (!MESSAGE_ID.test(mail.messageId)) {
    throw new ProviderError('never', 'MAIL_MESSAGE_ID', `${JSON.stringify(mail.messageId)} is not a Message-ID.`);
  }
  return { ...mail, to };
}

export const aborted = (signal: AbortSignal) =>
  new ProviderError('again', 'MAIL_ABORTED', 'The sending of the mail was aborted.', signal.reason);

export const stopped = () =>
  new ProviderError('again', 'MAIL_STOPPED', 'This process is stopping and sends no more mail.');
