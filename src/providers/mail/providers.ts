import type { Config } from '../../config.ts';
import type { Stoppable } from '../../lifecycle.ts';
import { ProviderError } from '../failure.ts';
import { MAIL_PROVIDERS } from './list.ts';
import type { Mail, MailProvider } from './mail.ts';
import { aborted, mustBeSendable, stopped } from './sendable.ts';

/** The configuration; `enabled` may name any of the providers that `openMail` is given. */
type MailConfig = Omit<Config, 'mail'> & {
  readonly mail: { readonly enabled: readonly string[]; readonly default: string };
};

interface OpenableProvider {
  readonly name: string;
  open(config: MailConfig): Promise<MailProvider>;
}

/** The providers that are enabled. */
export interface MailRegistry extends Stoppable {
  readonly enabled: readonly string[];
  /** Sends the mails of requests that name no provider. */
  readonly default: string;
  /** As MailProvider.send, by the provider of that name. */
  send(provider: string, mail: Mail, signal: AbortSignal): Promise<string>;
}

/** Opens the enabled providers in the order of the configuration. */
export async function openMail(
  config: MailConfig,
  providers: readonly OpenableProvider[] = MAIL_PROVIDERS,
): Promise<MailRegistry> {
  const opened = new Map<string, MailProvider>();
  let isStopped = false;
  for (const name of config.mail.enabled) opened.set(name, await definitionOf(name, providers).open(config));
  return {
    ...config.mail,
    async send(name, mail, signal) {
      const provider = opened.get(name);
      if (!provider) throw new ProviderError('never', 'MAIL_PROVIDER', `No mail provider is called ${name}.`);
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

function definitionOf(name: string, providers: readonly OpenableProvider[]): OpenableProvider {
  const provider = providers.find((each) => each.name === name);
  if (!provider) throw new Error(`MAIL_PROVIDERS: no mail provider is called ${name}`);
  return provider;
}
