import { withoutAddresses } from './address.ts';
import { compose } from './compose.ts';
import type { MailProvider } from './mail.ts';
import { openSession, type Deadlines, type SmtpServer } from './smtp-open.ts';
import { SmtpPool } from './smtp-pool.ts';

export interface SmtpOptions extends SmtpServer {
  readonly connections: number;
  readonly from: string;
  readonly deadlines?: Deadlines;
}

/** Their sum is the longest time that a server can hold a mail. */
const DEADLINES: Deadlines = { openMs: 10_000, sendMs: 20_000 };
const LIMITED_MS = 5_000;

/** Sends mail to a server. Connections are opened when there are mails to send. */
export function openSmtpMail({ deadlines = DEADLINES, connections, from, ...server }: SmtpOptions): MailProvider {
  const pool = new SmtpPool({
    open: (signal) => openSession(server, deadlines, signal),
    connections,
    silenceMs: deadlines.sendMs,
    limitedMs: LIMITED_MS,
  });
  return {
    send: async (mail, signal) =>
      withoutAddresses(await pool.send({ from, to: mail.to, raw: await compose(mail, from) }, signal)),
    stop: () => pool.stop(),
  };
}
