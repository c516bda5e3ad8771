import { createHmac } from 'node:crypto';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { z } from 'zod';
import { reasonOf } from '../../errors.ts';
import { key, onOff, secret } from '../../settings.ts';
import { ProviderError } from '../failure.ts';
import { lookupPublic, mustNotBePrivate } from './ip-addresses.ts';
import { defineMailProvider, type Mail, type MailProvider } from './mail.ts';
import { aborted, stopped } from './sendable.ts';

export const provider = defineMailProvider({
  name: 'webhook',
  about: 'posts mails to MAIL_WEBHOOK_URL',
  settings: {
    MAIL_WEBHOOK_URL: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe('URL that `webhook` posts mails to'),
    MAIL_WEBHOOK_SECRET: secret(key.optional().describe('key that signs what `webhook` posts; at least 32 bytes')),
    MAIL_WEBHOOK_ALLOW_PRIVATE: onOff
      .default('off')
      .describe('`on`: MAIL_WEBHOOK_URL may lead to loopback, private and link-local addresses'),
  },
  problem: ({ MAIL_WEBHOOK_URL, MAIL_WEBHOOK_SECRET }, isEnabled) =>
    isEnabled && !(MAIL_WEBHOOK_URL && MAIL_WEBHOOK_SECRET)
      ? 'MAIL_WEBHOOK_URL: must be set, with MAIL_WEBHOOK_SECRET, when mail goes by webhook'
      : undefined,
  open({ MAIL_WEBHOOK_URL: url = '', MAIL_WEBHOOK_SECRET: secret = '', MAIL_WEBHOOK_ALLOW_PRIVATE }) {
    return Promise.resolve(openWebhookMail({ url, secret, allowPrivate: MAIL_WEBHOOK_ALLOW_PRIVATE === 'on' }));
  },
});

interface WebhookOptions {
  readonly url: string;
  readonly secret: string;
  /** Whether the URL may lead to loopback, private and link-local addresses. */
  readonly allowPrivate: boolean;
  /** Deadline of a whole mail, in milliseconds. */
  readonly withinMs?: number;
}

const WITHIN_MS = 20_000;

/**
 * Posts every mail as JSON: `messageId`, `to`, `subject`, `body`, and `attachments`, each with `name`, `mediaType` and
 * `content` in base64.
 *
 * `OpenMusic-Signature: t=<seconds since 1970>,v1=<hex>` signs it, where the hex is the HMAC-SHA256, under the secret, of
 * the seconds, a full stop and the body, byte for byte. A receiver should compare it in constant time and refuse a request that is
 * some minutes old. `Idempotency-Key` is the messageId: a request with the same key carries the same mail.
 */
export function openWebhookMail({ withinMs = WITHIN_MS, ...options }: WebhookOptions): MailProvider {
  const target = new URL(options.url);
  const stopping = new AbortController();
  return {
    async send(mail, signal) {
      const deadline = AbortSignal.timeout(withinMs);
      try {
        const ends = AbortSignal.any([signal, stopping.signal, deadline]);
        return judge(await post(target, mail, options, ends), target);
      } catch (error) {
        if (signal.aborted) throw aborted(signal);
        if (stopping.signal.aborted) throw stopped();
        throw failureOf(error, deadline.aborted);
      }
    },
    stop() {
      stopping.abort();
      return Promise.resolve();
    },
  };
}

const bodyOf = ({ messageId, to, subject, body, attachments = [] }: Mail) =>
  Buffer.from(JSON.stringify({ messageId, to, subject, body, attachments: attachments.map(attachmentOf) }));

const attachmentOf = ({ name, mediaType, content }: NonNullable<Mail['attachments']>[number]) => ({
  name,
  mediaType,
  content: content.toString('base64'),
});

function headersOf({ messageId }: Mail, body: Buffer, secret: string) {
  const seconds = Math.floor(Date.now() / 1_000);
  const signature = createHmac('sha256', secret).update(`${seconds}.`).update(body).digest('hex');
  return {
    'Content-Type': 'application/json',
    'Content-Length': body.length,
    'Idempotency-Key': messageId,
    'OpenMusic-Signature': `t=${seconds},v1=${signature}`,
  };
}

type PostOptions = Pick<WebhookOptions, 'secret' | 'allowPrivate'>;

/** Uses a new connection for each mail: every address is checked, and the receiver is not about to close the connection. */
function post(target: URL, mail: Mail, { secret, allowPrivate }: PostOptions, signal: AbortSignal): Promise<number> {
  if (!allowPrivate) mustNotBePrivate(hostOf(target));
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const { request } = target.protocol === 'https:' ? https : http;
  const body = bodyOf(mail);
  const headers = headersOf(mail, body, secret);
  request(target, { method: 'POST', agent: false, headers, signal, lookup: allowPrivate ? undefined : lookupPublic })
    .on('error', reject)
    .on('response', (answer: IncomingMessage) => {
      resolve(answer.statusCode ?? 0);
      answer.on('error', () => undefined).resume(); // the body of the answer is not needed
    })
    .end(body);
  return promise;
}

/** Redirects are not followed: a 3xx is a failure like any other. */
function judge(status: number, target: URL): string {
  if (status >= 200 && status < 300) return `${status} from ${target.host}`;
  const isOurs = status >= 400 && status < 500 && status !== 408 && status !== 429;
  const message = `${target.host} answered ${status}.`;
  throw isOurs
    ? new ProviderError('never', 'MAIL_REFUSED', message)
    : new ProviderError('again', 'MAIL_REFUSED_FOR_NOW', message);
}

function failureOf(error: unknown, isLate: boolean): ProviderError {
  if (error instanceof ProviderError) return error;
  if (isLate) return new ProviderError('again', 'MAIL_TIMEOUT', 'The webhook took too long.', error);
  const reason = reasonOf(error) || (error as NodeJS.ErrnoException).code; // an AggregateError has no message
  return new ProviderError('again', 'MAIL_UNREACHABLE', `The webhook cannot be reached: ${reason}`, error);
}

/** Gives the host without the brackets of IPv6. */
const hostOf = ({ hostname }: URL) => hostname.replace(/^\[(.*)\]$/, '$1');
