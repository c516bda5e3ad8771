import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { SMTPServer, type SMTPServerSession } from 'smtp-server';
import { parseMail } from './smtp-mail.ts';
import { until } from './servers/waiting.ts';

/** An accepted mail. */
export interface TakenMail {
  readonly messageId: string;
  readonly from: string;
  /** The addresses of the envelope. */
  readonly to: readonly string[];
  readonly subject: string;
  readonly raw: Buffer;
  /** The number of its connection, from 1. */
  readonly connection: number;
  readonly at: number;
}

type Step = 'connect' | 'login' | 'mail' | 'rcpt' | 'data';

/**
 * What the server does from now on.
 * - `refuses`: no server listens, and connections are reset;
 * - `hangs`: stops answering at that step;
 * - `trickles`: sends one byte of its answer every `everyMs`, and never the last one;
 * - `answers`: a code at that step, to all or to those recipients only;
 * - `cuts`: accepts the mail and closes the connection instead of confirming it; or, before it has accepted it, at another
 * step.
 */
export type Conduct =
  | { readonly does: 'well' | 'refuses'; readonly at?: undefined }
  | { readonly does: 'hangs' | 'cuts'; readonly at: Step }
  | { readonly does: 'trickles'; readonly at: 'connect' | 'data'; readonly everyMs: number }
  | {
      readonly does: 'answers';
      readonly code: number;
      /** As a status code (RFC 3463) and some words. */
      readonly text?: string;
      readonly at: Step;
      readonly only?: (recipient: string) => boolean;
    };

export interface TestSmtpServer {
  readonly settings: { readonly SMTP_HOST: string; readonly SMTP_PORT: string };
  readonly mails: readonly TakenMail[];
  /** Connections: open now, at most at once, and in total. */
  readonly connections: { readonly open: number; readonly most: number; readonly ever: number };
  /** How many sent QUIT, and how many began TLS. */
  readonly quits: number;
  readonly secured: number;
  /** How many commands were answered with a code of the conduct. */
  readonly answered: number;
  /** How many wait for ever. */
  readonly held: number;
  /** Names and passwords of logins. */
  readonly logins: readonly { readonly user: string; readonly password: string; readonly isSecure: boolean }[];
  behave(conduct: Conduct): Promise<void>;
  /** Further connections are answered 421. */
  allow(connections: number): void;
  /** Closes every connection, as a restarting server does. */
  cutAll(): void;
  /** Waits until so many mails were accepted. */
  taken(count: number, withinMs?: number): Promise<void>;
  stop(): Promise<void>;
}

export interface TestSmtpOptions {
  readonly port?: number;
  /** Offers STARTTLS, with a self-signed certificate. */
  readonly tls?: boolean;
  /** Requires this login. */
  readonly login?: { readonly user: string; readonly password: string };
  readonly host?: string;
}

export async function startSmtpServer({
  host = '127.0.0.1',
  ...options
}: TestSmtpOptions = {}): Promise<TestSmtpServer> {
  let conduct: Conduct = { does: 'well' };
  let allowed = Infinity;
  const [mails, logins]: [TakenMail[], TestSmtpServer['logins'][number][]] = [[], []];
  const sockets = new Map<number, { readonly socket: Socket; readonly number: number }>();
  const held = new Set<Socket>();
  const count = { most: 0, ever: 0 };
  const seen = { quits: 0, secured: 0, answered: 0 };

  /** Continues at once, with an error, or never. */
  function decide(step: Step, session: SMTPServerSession, proceed: (error?: Error) => void, recipient = ''): void {
    const how = conductAt(step, recipient);
    const { socket } = sockets.get(session.remotePort) ?? {};
    if (how === undefined) proceed();
    else if (how.does === 'answers') {
      seen.answered += 1;
      proceed(Object.assign(new Error(how.text ?? `told so of ${recipient}`), { responseCode: how.code }));
    } else if (how.does === 'cuts') socket?.destroy();
    else hold(socket, how);
  }

  function hold(socket: Socket | undefined, how: Conduct): void {
    if (!socket) return;
    held.add(socket);
    socket.once('close', () => held.delete(socket));
    if (how.does === 'trickles') trickle(socket, how.everyMs);
  }

  function conductAt(step: Step, recipient: string): Exclude<Conduct, { at?: undefined }> | undefined {
    if (conduct.at !== step) return undefined;
    return conduct.does === 'answers' && conduct.only?.(recipient) === false ? undefined : conduct;
  }

  const smtp = new SMTPServer({
    logger: false,
    authOptional: options.login === undefined,
    allowInsecureAuth: true,
    disableReverseLookup: true,
    disabledCommands: options.tls ? [] : ['STARTTLS'],
    onConnect: (session, done) => decide('connect', session, done),
    onAuth: (auth, session, done) => {
      const [user, password] = [auth.username ?? '', auth.password ?? ''];
      logins.push({ user, password, isSecure: session.secure });
      const isRight = user === options.login?.user && password === options.login.password;
      decide('login', session, (error) => done(error ?? (isRight ? null : new Error('no')), { user }));
    },
    onSecure: (_, __, done) => {
      seen.secured += 1;
      done();
    },
    onMailFrom: (_, session, done) => decide('mail', session, done),
    onRcptTo: ({ address }, session, done) => decide('rcpt', session, done, address),
    onData: (stream, session, done) => {
      void buffer(stream).then((raw) => {
        const [recipient = ''] = session.envelope.rcptTo.map(({ address }) => address);
        if ((conductAt('data', recipient)?.does ?? 'cuts') === 'cuts') take(raw, session);
        decide('data', session, done, recipient);
      }, done);
    },
  });
  smtp.on('error', () => undefined); // clients that are disconnected

  function take(raw: Buffer, { envelope, remotePort }: SMTPServerSession): void {
    const { messageId, subject } = parseMail(raw);
    const from = envelope.mailFrom ? envelope.mailFrom.address : '';
    const connection = sockets.get(remotePort)?.number ?? 0;
    mails.push({
      messageId,
      subject,
      raw,
      from,
      connection,
      at: Date.now(),
      to: envelope.rcptTo.map(({ address }) => address),
    });
  }

  const front = createServer((socket) => {
    const port = socket.remotePort ?? 0;
    count.ever += 1;
    sockets.set(port, { socket, number: count.ever });
    socket.on('error', () => undefined).once('close', () => sockets.delete(port));
    if (sockets.size > allowed) return void socket.end('421 4.7.0 too many connections\r\n');
    count.most = Math.max(count.most, sockets.size);
    socket.on('data', (bytes) => (seen.quits += bytes.toString('latin1') === 'QUIT\r\n' ? 1 : 0));
    smtp.connect(socket, null);
  });
  const listen = async (port: number) => {
    front.listen(port, host);
    await once(front, 'listening');
    return (front.address() as AddressInfo).port;
  };
  const port = await listen(options.port ?? 0);

  const cutAll = () => sockets.forEach(({ socket }) => socket.destroy());
  const close = async () => {
    if (!front.listening) return;
    const closed = once(front, 'close');
    front.close();
    sockets.forEach(({ socket }) => socket.resetAndDestroy());
    await closed;
  };
  return {
    settings: { SMTP_HOST: host, SMTP_PORT: String(port) },
    mails,
    logins,
    cutAll,
    get quits() {
      return seen.quits;
    },
    get secured() {
      return seen.secured;
    },
    get answered() {
      return seen.answered;
    },
    get held() {
      return held.size;
    },
    get connections() {
      return { open: sockets.size, ...count };
    },
    async behave(how) {
      conduct = how;
      if (how.does === 'refuses') await close();
      else if (!front.listening) await listen(port);
    },
    allow: (connections) => {
      allowed = connections;
    },
    taken: (wanted, withinMs = 30_000) =>
      until(
        () => Promise.resolve(mails.length >= wanted),
        withinMs,
        () => `only ${mails.length} of ${wanted} mails were taken`,
      ),
    stop: close,
  };
}

function trickle(socket: Socket, everyMs: number): void {
  const timer = setInterval(() => socket.write('2'), everyMs);
  socket.once('close', () => clearInterval(timer));
}
