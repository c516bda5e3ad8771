import type { Mail } from '../src/providers/mail/mail.ts';
import { openSmtpMail } from '../src/providers/mail/smtp-mail.ts';
import { answerQuestions } from './answers.ts';

/** Mails that are ready to be sent. */
export interface Mailing {
  readonly port: number;
  readonly connections: number;
  readonly mails: readonly Mail[];
}

/** Sends all mails by the product's pool of connections, each of which is always busy. */
answerQuestions(async ({ port, connections, mails }: Mailing): Promise<void> => {
  const provider = openSmtpMail({ host: '127.0.0.1', port, connections, from: 'openmusic@localhost' });
  const waiting = mails.values();
  const work = async () => {
    // Buffers of the other process arrive as byte arrays.
    for (const mail of waiting) await provider.send(revived(mail), new AbortController().signal);
  };
  await Promise.all(Array.from({ length: 2 * connections }, work));
  await provider.stop();
});

const revived = (mail: Mail): Mail => ({
  ...mail,
  attachments: mail.attachments?.map((each) => ({ ...each, content: Buffer.from(each.content) })),
});
