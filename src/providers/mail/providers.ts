import path from 'node:path';
import type { Config, MailProviderName } from '../../config.ts';
import type { Stoppable } from '../../lifecycle.ts';
import { ProviderError } from '../failure.ts';
import type { Mail, MailProvider } from './mail.ts';
import { aborted, mustBeSendable, stopped } from './sendable.ts';

/** The configuration, in which also other providers than ours can be enabled. */
export type MailConfig = Omit<Config, 'mail'> & {
  readonly mail: { readonly enabled: readonly string[]; readonly standard: string };
};

type OpenProvider = (config: MailConfig) => Promise<MailProvider>;

/** One line and one file for each. What a provider needs is loaded only when it is enabled. */
export const PROVIDERS: Readonly<Record<MailProviderName, OpenProvider>> = {
  smtp: async (config) => (await import('./smtp.ts')).openSmtpMail(smtpOptions(config)),
  file: async (config) => (await import('./file.ts')).openFileMail(directoryOf(config), config.MAIL_FROM),
  webhook: async (config) => (await import('./webhook.ts')).openWebhookMail(webhookOptions(config)),
};

/** The providers that are enabled. */
export interface MailRegistry extends Stoppable {
  readonly enabled: readonly string[];
  /** The one that sends where nobody says which. */
  readonly standard: string;
  /** As MailProvider.send, by the provider of that name. */
  send(provider: string, mail: Mail, signal: AbortSignal): Promise<string>;
}

export async function openMail(
  config: MailConfig,
  providers: Readonly<Record<string, OpenProvider>> = PROVIDERS,
): Promise<MailRegistry> {
  const { enabled, standard } = config.mail;
  const opened = new Map<string, MailProvider>();
  let isStopped = false;
  for (const name of enabled) opened.set(name, await openProvider(providers[name], name, config));
  return {
    enabled,
    standard,
    async send(name, mail, signal) {
      const provider = opened.get(name);
      if (!provider) throw new ProviderError('permanent', 'MAIL_PROVIDER', `No provider of mail is called ${name}.`);
      if (isStopped) throw stopped();
      if (signal.aborted) throw aborted(signal);
      return provider.send(mustBeSendable(mail), signal);
    },
    async stop() {
      isStopped = true;
      await Promise.all([...opened.values()].map((provider) => provider.stop()));
    },
  };
}

function openProvider(open: OpenProvider | undefined, name: string, config: MailConfig): Promise<MailProvider> {
  if (!open) throw new Error(`MAIL_PROVIDERS: no provider of mail is called ${name}`);
  return open(config);
}

const directoryOf = ({ DATA_DIR, NAMESPACE }: MailConfig) => path.resolve(DATA_DIR, 'mail', NAMESPACE);

function smtpOptions({
  SMTP_HOST: host = 'localhost',
  SMTP_PORT: port,
  SMTP_CONNECTIONS: connections,
  ...config
}: MailConfig) {
  const { SMTP_USER: user, SMTP_PASSWORD: password = '', MAIL_FROM: from } = config;
  const deadlines = { openMs: config.SMTP_OPEN_SECONDS * 1_000, sendMs: config.SMTP_SEND_SECONDS * 1_000 };
  const login = user === undefined ? undefined : { user, password };
  return { host, port, connections, from, deadlines, login };
}

function webhookOptions({ MAIL_WEBHOOK_URL: url = '', MAIL_WEBHOOK_SECRET: secret = '', ...config }: MailConfig) {
  return { url, secret, allowPrivate: config.MAIL_WEBHOOK_ALLOW_PRIVATE === 'on' };
}
