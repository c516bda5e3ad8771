import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { Mail, MailProvider } from '../../src/providers/mail/mail.ts';
import { openSmtpMail, type SmtpOptions } from '../../src/providers/mail/smtp-mail.ts';
import { newMail, outcomeOf as outcomeOfSending } from '../contract/mail.ts';
import { eventually } from '../support/observed.ts';
import { within } from '../support/servers/waiting.ts';
import { startSmtpServer, type Conduct, type TestSmtpOptions } from '../support/smtp-server.ts';

const patience = new AbortController().signal;
const deadlines = { openMs: 1_500, sendMs: 1_500 };
/** The timeouts of connecting and of sending, and a margin for a slow machine. */
const BOUND_MS = 10_000;

const started: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of started.splice(0).reverse()) await each.stop();
});

async function start({ connections = 1, login, ...options }: TestSmtpOptions & Partial<SmtpOptions> = {}) {
  const server = await startSmtpServer({ ...options, login: options.tls ? login : undefined });
  started.push(server);
  return {
    server,
    provider: open({ host: server.settings.SMTP_HOST, port: Number(server.settings.SMTP_PORT), connections, login }),
  };
}

function open(options: Omit<SmtpOptions, 'from'>): MailProvider {
  const provider = openSmtpMail({ from: 'om@music.example', deadlines, ...options });
  started.push(provider);
  return provider;
}

const letter = (more: Partial<Mail> = {}) => newMail({ attachments: undefined, ...more });

const outcomeOf = (provider: MailProvider, mail = letter()): Promise<string> =>
  within(BOUND_MS, 'sending', outcomeOfSending(provider.send(mail, patience)));

const well: Conduct = { does: 'well' };

describe('mail by SMTP', () => {
  it.each<[Conduct, string]>([
    [{ does: 'refuses' }, 'retryable MAIL_UNREACHABLE'],
    [{ does: 'hangs', at: 'connect' }, 'retryable MAIL_TIMEOUT'],
    [{ does: 'hangs', at: 'mail' }, 'retryable MAIL_TIMEOUT'],
    [{ does: 'hangs', at: 'rcpt' }, 'retryable MAIL_TIMEOUT'],
    [{ does: 'hangs', at: 'data' }, 'retryable MAIL_TIMEOUT'],
    [{ does: 'trickles', at: 'connect', everyMs: 100 }, 'retryable MAIL_TIMEOUT'],
    [{ does: 'trickles', at: 'data', everyMs: 100 }, 'retryable MAIL_TIMEOUT'],
    [{ does: 'cuts', at: 'connect' }, 'retryable MAIL_UNREACHABLE'],
    [{ does: 'cuts', at: 'mail' }, 'retryable MAIL_UNREACHABLE'],
    [{ does: 'cuts', at: 'data' }, 'retryable MAIL_UNREACHABLE'],
    [{ does: 'answers', code: 421, at: 'connect' }, 'retryable MAIL_REFUSED_FOR_NOW'],
    [{ does: 'answers', code: 554, at: 'connect' }, 'retryable MAIL_REFUSED_FOR_NOW'],
    [{ does: 'answers', code: 421, at: 'mail' }, 'retryable MAIL_REFUSED_FOR_NOW'],
    [{ does: 'answers', code: 421, at: 'rcpt' }, 'retryable MAIL_REFUSED_FOR_NOW'],
    [{ does: 'answers', code: 421, at: 'data' }, 'retryable MAIL_REFUSED_FOR_NOW'],
    [{ does: 'answers', code: 451, at: 'mail' }, 'retryable MAIL_REFUSED_FOR_NOW'],
    [{ does: 'answers', code: 452, at: 'mail' }, 'retryable MAIL_REFUSED_FOR_NOW'],
    [
      { does: 'answers', code: 451, at: 'data', text: '4.3.0 queue file write error' },
      'retryable MAIL_REFUSED_FOR_NOW',
    ],
    [{ does: 'answers', code: 452, at: 'data', text: '4.3.1 out of space' }, 'retryable MAIL_REFUSED_FOR_NOW'],
    [{ does: 'answers', code: 554, at: 'data', text: '5.3.2 not accepting mail' }, 'retryable MAIL_REFUSED_FOR_NOW'],
    [{ does: 'answers', code: 450, at: 'rcpt' }, 'deferred MAIL_DEFERRED'],
    [{ does: 'answers', code: 451, at: 'rcpt', text: '4.7.1 greylisted for 300 s' }, 'deferred MAIL_DEFERRED'],
    [{ does: 'answers', code: 451, at: 'rcpt', text: '4.3.0 lookup failure' }, 'deferred MAIL_DEFERRED'],
    [{ does: 'answers', code: 452, at: 'rcpt', text: '4.2.2 mailbox full' }, 'deferred MAIL_DEFERRED'],
    [{ does: 'answers', code: 454, at: 'rcpt' }, 'deferred MAIL_DEFERRED'],
    [{ does: 'answers', code: 450, at: 'data' }, 'deferred MAIL_DEFERRED'],
    [{ does: 'answers', code: 451, at: 'data', text: '4.7.1 try again later' }, 'deferred MAIL_DEFERRED'],
    [{ does: 'answers', code: 452, at: 'data' }, 'deferred MAIL_DEFERRED'],
    [{ does: 'answers', code: 503, at: 'rcpt' }, 'retryable MAIL_REFUSED_FOR_NOW'],
    [{ does: 'answers', code: 550, at: 'mail' }, 'retryable MAIL_SENDER'],
    [{ does: 'answers', code: 530, at: 'mail' }, 'retryable MAIL_LOGIN'],
    [{ does: 'answers', code: 530, at: 'rcpt' }, 'retryable MAIL_LOGIN'],
    [{ does: 'answers', code: 550, at: 'rcpt' }, 'permanent MAIL_REFUSED'],
    [{ does: 'answers', code: 553, at: 'rcpt' }, 'permanent MAIL_REFUSED'],
    [{ does: 'answers', code: 552, at: 'mail' }, 'permanent MAIL_REFUSED'],
    [{ does: 'answers', code: 552, at: 'rcpt' }, 'permanent MAIL_REFUSED'],
    [{ does: 'answers', code: 552, at: 'data' }, 'permanent MAIL_REFUSED'],
    [{ does: 'answers', code: 552, at: 'data', text: '5.3.4 too large' }, 'permanent MAIL_REFUSED'],
    [{ does: 'answers', code: 554, at: 'data', text: '5.7.1 looks like spam' }, 'permanent MAIL_REFUSED'],
    [{ does: 'answers', code: 554, at: 'data' }, 'permanent MAIL_REFUSED'],
  ])('to a server that %j is %s, and continues when the server recovers', async (conduct, outcome) => {
    const { server, provider } = await start();
    await server.behave(conduct);
    expect(await outcomeOf(provider)).toBe(outcome);
    await server.behave(well);
    expect(await outcomeOf(provider)).toBe('sent');
    await server.behave(conduct);
    if (conduct.at === 'connect') server.cutAll();
    expect(await outcomeOf(provider)).toBe(outcome); // on a connection that has worked before
    await server.behave(well);
    expect(await outcomeOf(provider)).toBe('sent');
  });

  it('keeps its connection after a refusal, and closes it after silence', async () => {
    const { server, provider } = await start();
    await server.behave({ does: 'answers', code: 550, at: 'rcpt', only: (to) => to.startsWith('unknown') });
    const unknown = letter({ to: 'unknown@example.com' });
    const outcomes = [await outcomeOf(provider), await outcomeOf(provider, unknown), await outcomeOf(provider)];
    expect([outcomes, server.connections.ever]).toEqual([['sent', 'permanent MAIL_REFUSED', 'sent'], 1]);
    await server.behave({ does: 'hangs', at: 'data' });
    expect(await outcomeOf(provider)).toBe('retryable MAIL_TIMEOUT');
    await server.behave(well);
    expect([await outcomeOf(provider), server.connections.ever]).toEqual(['sent', 2]);
    expect(server.mails.at(-1)).toMatchObject({ connection: 2 });
  });

  it('reports why it was refused, and not the recipient', async () => {
    const { server, provider } = await start();
    await server.behave({ does: 'answers', code: 550, at: 'rcpt' });
    const refused = provider.send(letter({ to: 'unknown@example.com' }), patience);
    await expect(refused).rejects.toThrow(/550 told so of \(address\)$/);
  });

  it('that was accepted and not answered has the same Message-ID when it is repeated', async () => {
    const { server, provider } = await start();
    const mail = letter();
    await server.behave({ does: 'cuts', at: 'data' });
    expect(await outcomeOf(provider, mail)).toBe('retryable MAIL_UNREACHABLE');
    await server.behave(well);
    expect(await outcomeOf(provider, mail)).toBe('sent');
    expect(server.mails.map(({ messageId }) => messageId)).toEqual([mail.messageId, mail.messageId]);
  });

  it('uses another connection when the server has closed the chosen one', async () => {
    const { server, provider } = await start();
    for (let round = 1; round <= 5; round += 1) {
      expect(await outcomeOf(provider)).toBe('sent');
      server.cutAll();
    }
    expect(server.mails.map(({ connection }) => connection)).toEqual([1, 2, 3, 4, 5]);
  });

  it('uses another connection when a server limits mails per connection', async () => {
    const { port, stop } = await startFickle(3);
    started.push({ stop });
    const provider = open({ host: '127.0.0.1', port, connections: 2 });
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => outcomeOf(provider)));
    expect(outcomes).toEqual(outcomes.map(() => 'sent'));
  });

  it('loses nothing with a server that allows fewer connections', async () => {
    const { server, provider } = await start({ connections: 8 });
    server.allow(2);
    const mails = Array.from({ length: 200 }, () => letter());
    const outcomes = await Promise.all(mails.map((mail) => within(30_000, 'all', outcomeOf(provider, mail))));
    expect(outcomes).toEqual(mails.map(() => 'sent'));
    expect(server.mails.map(({ messageId }) => messageId).sort()).toEqual(
      mails.map(({ messageId }) => messageId).sort(),
    );
    expect(server.connections.ever).toBeLessThan(30);
  });

  it('uses no more connections than allowed, and no more than it has mails', async () => {
    const { server, provider } = await start({ connections: 3 });
    expect(await outcomeOf(provider)).toBe('sent');
    expect(server.connections.ever).toBe(1);
    await Promise.all(Array.from({ length: 50 }, () => outcomeOf(provider)));
    expect(server.connections).toMatchObject({ most: 3, ever: 3 });
  });

  it('fails at once for all waiting mails when no server listens', async () => {
    const { server, provider } = await start({ connections: 3 });
    await server.behave({ does: 'refuses' });
    const outcomes = await Promise.all(Array.from({ length: 50 }, () => outcomeOf(provider)));
    expect(outcomes).toEqual(outcomes.map(() => 'retryable MAIL_UNREACHABLE'));
  });

  it('does not wait longer than others already waited without success', async () => {
    const { server, provider } = await start({ connections: 2 });
    await server.behave({ does: 'hangs', at: 'data' });
    const outcomes = await Promise.all(Array.from({ length: 30 }, () => outcomeOf(provider)));
    expect(outcomes).toEqual(outcomes.map(() => 'retryable MAIL_TIMEOUT'));
  });

  it('sends QUIT when it is stopped', async () => {
    const { server, provider } = await start();
    expect(await outcomeOf(provider)).toBe('sent');
    await provider.stop();
    await eventually('no client is connected', () => server.connections.open === 0);
    expect([server.quits, server.connections.ever]).toEqual([1, 1]);
  });

  it('closes an idle connection after a while', async () => {
    const { server, provider } = await start();
    expect(await outcomeOf(provider)).toBe('sent');
    await eventually('no client is connected', () => server.connections.open === 0);
    expect(await outcomeOf(provider)).toBe('sent');
  });

  it('has a reasonable throughput', async () => {
    const { server, provider } = await start({ connections: 1 });
    expect(await outcomeOf(provider)).toBe('sent');
    const began = performance.now();
    await Promise.all(Array.from({ length: 500 }, () => provider.send(letter(), patience)));
    const perSecond = Math.round(500_000 / (performance.now() - began));
    console.info(`500 mails on one connection: ${perSecond}/s`);
    expect([server.mails.length, server.connections.ever]).toEqual([501, 1]);
  });
});

describe('a login by SMTP', () => {
  const login = { user: 'om', password: 'secret' };
  const elsewhere = Object.values(networkInterfaces())
    .flat()
    .find((each) => each?.family === 'IPv4' && !each.internal)?.address;

  it('uses TLS where the server offers it', async () => {
    const { server, provider } = await start({ tls: true, login });
    expect(await outcomeOf(provider)).toBe('sent');
    expect(server.logins).toEqual([{ ...login, isSecure: true }]);
  });

  it('that is refused counts against the server, not the mail', async () => {
    const { server } = await start({ tls: true, login });
    const wrong = { ...login, password: 'wrong' };
    const provider = open({ host: '127.0.0.1', port: Number(server.settings.SMTP_PORT), connections: 2, login: wrong });
    expect(await outcomeOf(provider)).toBe('retryable MAIL_LOGIN');
    expect(server.mails).toEqual([]);
  });

  const ifElsewhere = elsewhere ? it : it.skip;
  ifElsewhere.each([
    ['no TLS', false],
    ['a self-signed certificate', true],
  ])('is not made to another machine that has %s', async (_, tls) => {
    const server = await startSmtpServer({ host: elsewhere, tls, login });
    started.push(server);
    const address = { host: elsewhere ?? '', port: Number(server.settings.SMTP_PORT), connections: 1 };
    expect(await outcomeOf(open({ ...address, login }))).toBe('retryable MAIL_TLS');
    expect([server.logins, server.mails]).toEqual([[], []]);
  });

  ifElsewhere('is not needed there: without one any TLS will do', async () => {
    const server = await startSmtpServer({ host: elsewhere, tls: true });
    started.push(server);
    const address = { host: elsewhere ?? '', port: Number(server.settings.SMTP_PORT), connections: 1 };
    expect(await outcomeOf(open(address))).toBe('sent');
    expect(server.secured).toBe(1);
  });
});

/** Answers 421 to a mail after so many on one connection, as some servers do. */
async function startFickle(most: number): Promise<{ port: number; stop(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined).on('close', () => sockets.delete(socket)));
    let [mails, isData] = [0, false];
    socket.write('220 fickle\r\n');
    socket.setEncoding('latin1').on('data', (text: string) => {
      if (isData && !text.endsWith('\r\n.\r\n')) return;
      if (isData) [isData] = [false, socket.write('250 taken\r\n')];
      else if (text.startsWith('MAIL') && (mails += 1) > most) socket.end('421 enough\r\n');
      else if (text.startsWith('DATA')) [isData] = [true, socket.write('354 go on\r\n')];
      else socket.write('250 fine\r\n');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      server.close();
      sockets.forEach((socket) => socket.destroy());
      await once(server, 'close');
    },
  };
}
