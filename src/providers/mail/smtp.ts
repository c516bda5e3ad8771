import { z } from 'zod';
import { count, duration, port, secret } from '../../settings.ts';
import { defineMailProvider } from './mail.ts';

export const provider = defineMailProvider({
  name: 'smtp',
  about: 'sends to the mail server SMTP_HOST',
  settings: {
    SMTP_HOST: z.string().optional().describe('mail server'),
    SMTP_PORT: port
      .default(587)
      .describe('port of the mail server; 465 begins with TLS, any other asks for it (STARTTLS)'),
    SMTP_USER: z.string().optional().describe('user at the mail server'),
    SMTP_PASSWORD: secret(z.string().optional().describe('password at the mail server')),
    SMTP_CONNECTIONS: count.default(5).describe('connections to the mail server of one process'),
    SMTP_OPEN_SECONDS: duration
      .default(10)
      .describe('how long a mail server may take from the first packet to the login'),
    SMTP_SEND_SECONDS: duration.default(20).describe('how long a mail server may take over one mail'),
  },
  problem: ({ SMTP_HOST }, isEnabled) =>
    isEnabled && !SMTP_HOST ? 'SMTP_HOST: must be set when mail goes by smtp' : undefined,
  async open({ SMTP_HOST: host = 'localhost', SMTP_PORT: port, SMTP_CONNECTIONS: connections, ...config }) {
    const { SMTP_USER: user, SMTP_PASSWORD: password = '', MAIL_FROM: from } = config;
    const deadlines = { openMs: config.SMTP_OPEN_SECONDS * 1_000, sendMs: config.SMTP_SEND_SECONDS * 1_000 };
    const login = user === undefined ? undefined : { user, password };
    const { openSmtpMail } = await import('./smtp-mail.ts');
    return openSmtpMail({ host, port, connections, from, deadlines, login });
  },
});
