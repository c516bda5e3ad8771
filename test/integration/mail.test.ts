import { createHmac } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { loadConfig } from '../../src/config.ts';
import type { Mail } from '../../src/providers/mail/mail.ts';
import { MAIL_PROVIDERS } from '../../src/providers/mail/list.ts';
import { openMail } from '../../src/providers/mail/providers.ts';
import { openWebhookMail } from '../../src/providers/mail/webhook.ts';
import { mailContract, newMail, outcomeOf, type ReceivedMail } from '../contract/mail.ts';
import { eventually } from '../support/observed.ts';
import { within } from '../support/servers/waiting.ts';
import { parseMail } from '../support/smtp-mail.ts';
import { startSmtpServer } from '../support/smtp-server.ts';
import { startWebhook } from '../support/smtp-webhook.ts';

const SECRET = 'a secret of at least thirty-two bytes';
const patience = new AbortController().signal;
const config = (settings: Record<string, string>) =>
  loadConfig({ ...settings, MAIL_FROM: 'om@music.example' }, '/nowhere');

function receivedOf(raw: Buffer): ReceivedMail {
  const { headers, ...rest } = parseMail(raw);
  return { ...rest, to: headers.find(([name]) => name === 'to')?.[1] ?? '' };
}

mailContract('smtp', async () => {
  const server = await startSmtpServer();
  return {
    open: () => openMail(config({ ...server.settings, SMTP_CONNECTIONS: '2' })),
    received: () => Promise.resolve(server.mails.map(({ raw }) => receivedOf(raw))),
    hanging: {
      begin: () => server.behave({ does: 'hangs', at: 'data' }),
      held: () => server.held,
      end: () => server.behave({ does: 'well' }),
    },
    stop: () => server.stop(),
  };
});

mailContract('file', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'openmusic-mail-'));
  const settings = { DATA_DIR: directory, NAMESPACE: 'letters' };
  return {
    open: () => openMail(config({ ...settings, MAIL_PROVIDERS: 'file' })),
    received: async () => {
      const files = await readdir(path.join(directory, 'mail', 'letters'));
      return Promise.all(
        files.map(async (name) => receivedOf(await readFile(path.join(directory, 'mail', 'letters', name)))),
      );
    },
    stop: () => rm(directory, { recursive: true }),
  };
});

mailContract('webhook', async () => {
  const hook = await startWebhook();
  const settings = { MAIL_WEBHOOK_URL: hook.url, MAIL_WEBHOOK_SECRET: SECRET, MAIL_WEBHOOK_ALLOW_PRIVATE: 'on' };
  return {
    open: () => openMail(config({ ...settings, MAIL_PROVIDERS: 'webhook' })),
    received: () => Promise.resolve(hook.posts.map(({ body }) => postedMail(body))),
    hanging: {
      begin: () => hook.answer('nothing'),
      held: () => hook.held(),
      end: () => hook.answer({ status: 204 }),
    },
    stop: () => hook.stop(),
  };
});

type Posted = Omit<ReceivedMail, 'attachments'> & {
  attachments: { name: string; mediaType: string; content: string }[];
};

function postedMail(body: string): ReceivedMail {
  const { attachments, ...mail } = JSON.parse(body) as Posted;
  return {
    ...mail,
    attachments: attachments.map((each) => ({ ...each, content: Buffer.from(each.content, 'base64') })),
  };
}

describe('the providers of mail', () => {
  it('can be extended with an entry in the list of providers', async () => {
    const sent: Mail[] = [];
    const opened = {
      send: (mail: Mail) => Promise.resolve(`leg ${sent.push(mail)}`),
      stop: () => Promise.resolve(),
    };
    const pigeon = { name: 'pigeon', open: () => Promise.resolve(opened) };
    const mail = { enabled: ['pigeon', 'file'], default: 'pigeon' };
    const DATA_DIR = await mkdtemp(path.join(tmpdir(), 'openmusic-mail-'));
    const registry = await openMail({ ...config({ DATA_DIR }), mail }, [...MAIL_PROVIDERS, pigeon]);
    expect([registry.enabled, registry.default]).toEqual([['pigeon', 'file'], 'pigeon']);
    const letter = newMail();
    expect(await registry.send('pigeon', letter, patience)).toBe('leg 1');
    expect(sent).toEqual([letter]);
    expect(await registry.send('file', letter, patience)).toContain(letter.messageId);
    await registry.stop();
    await rm(DATA_DIR, { recursive: true });
  });

  it('send only where they are enabled', async () => {
    const registry = await openMail({ ...config({}), mail: { enabled: [], default: 'file' } });
    const refusal = { kind: 'permanent', code: 'MAIL_PROVIDER' };
    await expect(registry.send('file', newMail(), patience)).rejects.toMatchObject(refusal);
    await registry.stop();
  });

  it('must exist', async () => {
    const mail = { enabled: ['pigeon'], default: 'pigeon' };
    await expect(openMail({ ...config({}), mail })).rejects.toThrow('no mail provider is called pigeon');
  });
});

describe('mail to a webhook', () => {
  const opened: { stop(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const each of opened.splice(0)) await each.stop();
  });
  async function open(settings: Record<string, string> = {}) {
    const hook = await startWebhook();
    const url = { MAIL_WEBHOOK_URL: hook.url, MAIL_WEBHOOK_SECRET: SECRET, MAIL_WEBHOOK_ALLOW_PRIVATE: 'on' };
    const registry = await openMail(config({ ...url, MAIL_PROVIDERS: 'webhook', ...settings }));
    opened.push(registry, hook);
    return { hook, send: (mail = newMail()) => registry.send('webhook', mail, patience) };
  }

  it('is signed over time and body, and names the mail', async () => {
    const { hook, send } = await open();
    const mail = newMail();
    expect(await send(mail)).toBe(`204 from ${new URL(hook.url).host}`);
    const { headers, body, method } = hook.posts[0]!;
    expect([method, headers['content-type'], headers['idempotency-key']]).toEqual([
      'POST',
      'application/json',
      mail.messageId,
    ]);
    const [, time = '', signature] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers['openmusic-signature'])) ?? [];
    expect(signature).toBe(createHmac('sha256', SECRET).update(`${time}.${body}`).digest('hex'));
    expect(Math.abs(Number(time) - Date.now() / 1_000)).toBeLessThan(60);
  });

  it.each([
    [200, 'sent'],
    [201, 'sent'],
    [301, 'retryable MAIL_REFUSED_FOR_NOW'],
    [302, 'retryable MAIL_REFUSED_FOR_NOW'],
    [307, 'retryable MAIL_REFUSED_FOR_NOW'],
    [400, 'permanent MAIL_REFUSED'],
    [404, 'permanent MAIL_REFUSED'],
    [422, 'permanent MAIL_REFUSED'],
    [408, 'retryable MAIL_REFUSED_FOR_NOW'],
    [429, 'retryable MAIL_REFUSED_FOR_NOW'],
    [500, 'retryable MAIL_REFUSED_FOR_NOW'],
    [503, 'retryable MAIL_REFUSED_FOR_NOW'],
  ])('that answers %d makes it %p', async (status, outcome) => {
    const { hook, send } = await open();
    hook.answer({ status, location: `${hook.url}/elsewhere` });
    expect(await outcomeOf(send())).toBe(outcome);
    expect(hook.posts.map(({ path: at }) => at)).toEqual(['/mail']);
  });

  it('that is unreachable, or closes the connection, is retried', async () => {
    const { hook, send } = await open();
    const unreachable = { kind: 'retryable', code: 'MAIL_UNREACHABLE' };
    hook.answer('cut');
    await expect(send()).rejects.toMatchObject(unreachable);
    await hook.stop();
    await expect(send()).rejects.toMatchObject(unreachable);
  });

  it.each(['nothing', 'trickle'] as const)('that returns %s is given up in time', async (answer) => {
    const { hook } = await open();
    hook.answer(answer);
    const provider = openWebhookMail({ url: hook.url, secret: SECRET, allowPrivate: true, withinMs: 500 });
    opened.push(provider);
    expect(await within(5_000, 'sending', outcomeOf(provider.send(newMail(), patience)))).toBe(
      'retryable MAIL_TIMEOUT',
    );
    await eventually('no mail waits', () => hook.held() === 0);
  });

  it.each([
    'http://localhost:PORT/mail',
    'http://127.0.0.1:PORT/mail',
    'http://127.1:PORT/mail',
    'http://2130706433:PORT/mail',
    'http://0x7f000001:PORT/mail',
    'http://0.0.0.0:PORT/mail',
    'http://[::1]:PORT/mail',
    'http://[::ffff:127.0.0.1]:PORT/mail',
    'https://localhost:PORT/mail',
    'http://10.0.0.1/mail',
    'http://169.254.169.254/latest/meta-data',
  ])('never goes to %s', async (url) => {
    const { hook } = await open();
    const { port } = new URL(hook.url);
    const { send } = await open({ MAIL_WEBHOOK_URL: url.replace('PORT', port), MAIL_WEBHOOK_ALLOW_PRIVATE: 'off' });
    await expect(send()).rejects.toMatchObject({ kind: 'retryable', code: 'MAIL_WEBHOOK_PRIVATE' });
    expect([hook.posts, hook.connections()]).toEqual([[], 0]);
  });
});
