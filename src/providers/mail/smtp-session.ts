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

/** A session with a mail server, which takes one letter after the other. */
export interface SmtpSession {
  /** Up to where letters can be sent. */
  begin(login: Login | undefined): Promise<void>;
  /** Gives the server's answer. Rejects with what nodemailer says, a StaleSession, or the reason of `end`. */
  send(letter: Letter): Promise<string>;
  /** Must follow a rejection. Afterwards the next letter can be sent, or the session has ended. */
  recover(rejection: unknown): Promise<void>;
  /** At once: what is under way is rejected for that reason. */
  end(reason: Error): void;
  /** As the protocol wants it. */
  quit(): Promise<void>;
  /** Whoever ended it. */
  readonly ended: Promise<void>;
}

/** The server has closed a session that worked before it got anything of the letter: another session can send that. */
export class StaleSession extends Error {}

const QUIT_WITHIN_MS = 1_000;

/** Each step on the connection ends with its answer, or with the connection, or takes too long and ends that. */
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

/** Nodemailer tells some failures to the callback, some by an event, and those of our own `close` to nobody. */
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

export const tooLate = (message: string) => new ProviderError('retryable', 'MAIL_TIMEOUT', message);
