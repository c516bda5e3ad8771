import { Readable } from 'node:stream';
import type SMTPConnection from 'nodemailer/lib/smtp-connection';
import type { SentMessageInfo } from 'nodemailer/lib/smtp-connection';
import { ProviderError } from '../failure.ts';
import { isLoss, leavesSessionUsable } from './smtp-failures.ts';

export interface Letter {
  readonly from: string;
  readonly to: string;
  readonly raw: Buffer;
}

export interface Login {
  readonly user: string;
  readonly password: string;
}

/** A session with a mail server. It sends one letter after the other. */
export interface SmtpSession {
  /** Connects and logs in, so that letters can be sent. */
  begin(login: Login | undefined): Promise<void>;
  /** Gives the server's answer. Rejects with an error of nodemailer, a StaleSession, or the reason of `end`. */
  send(letter: Letter): Promise<string>;
  /** Must be called after a rejection. Then the next letter can be sent, or the session has ended. */
  recover(rejection: unknown): Promise<void>;
  /** Closes the connection. A letter that is being sent is rejected with the reason. */
  end(reason: Error): void;
  /** Ends the session by QUIT, as the protocol demands. */
  quit(): Promise<void>;
  /** Resolves when the session has ended, on either side. */
  readonly ended: Promise<void>;
}

/** The server closed a session that worked before, and got nothing of the letter. Another session can send the letter. */
export class StaleSession extends Error {}

const QUIT_WITHIN_MS = 1_000;

/** Makes a session of a connection. Each step ends with its answer or with the connection; a step that takes too long ends both. */
export function sessionOn(connection: SMTPConnection, stepMs: number): SmtpSession {
  const { step, end } = stepsOf(connection);
  const ended = new Promise<void>((resolve) => connection.once('end', resolve));
  let sent = 0;

  return {
    async begin(login) {
      await step(stepMs, (done) => connection.connect(done));
      const credentials = login && { user: login.user, pass: login.password };
      if (credentials && connection.allowsAuth) await step(stepMs, (done) => connection.login({ credentials }, done));
    },
    async send({ from, to, raw }) {
      const content = Readable.from(raw);
      const envelope = { from, to, size: raw.length };
      try {
        const info = await step<SentMessageInfo>(stepMs, (done) => connection.send(envelope, content, done));
        sent += 1;
        return info?.response ?? '';
      } catch (error) {
        if (sent > 0 && !content.readableDidRead && isLoss(error)) throw new StaleSession('', { cause: error });
        throw error;
      }
    },
    async recover(rejection) {
      try {
        if (!leavesSessionUsable(rejection)) throw rejection;
        await step(stepMs, (done) => connection.reset(done));
      } catch {
        end(new Error('The session could not go on.'));
        await ended;
      }
    },
    end,
    async quit() {
      const timer = setTimeout(() => connection.close(), QUIT_WITHIN_MS);
      connection.quit();
      await ended;
      clearTimeout(timer);
    },
    ended,
  };
}

type Done<T> = (error?: Error | null, value?: T) => void;

/** nodemailer reports some failures to the callback and some by an event, and does not report those that `close` causes. */
function stepsOf(connection: SMTPConnection) {
  let interrupt: (reason: Error) => void = () => undefined;
  connection.on('error', (error: Error) => interrupt(error));
  connection.once('end', () => setImmediate(() => interrupt(new Error('The mail server closed the connection.'))));

  function end(reason: Error): void {
    interrupt(reason);
    connection.close();
  }
  function step<T = unknown>(withinMs: number, act: (done: Done<T>) => void): Promise<T | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<T | undefined>();
    const timer = setTimeout(() => end(tooLate('The mail server took too long.')), withinMs);
    interrupt = reject;
    act((error, value) => (error ? reject(error) : resolve(value)));
    return promise.finally(() => clearTimeout(timer));
  }
  return { step, end };
}

export const tooLate = (message: string) => new ProviderError('again', 'MAIL_TIMEOUT', message);
