import type { Stoppable } from '../../lifecycle.ts';
import type { ProviderError } from '../failure.ts';
import { aborted, stopped } from './sendable.ts';
import { failureOfConnecting, failureOfSending } from './smtp-failures.ts';
import { StaleSession, type Letter, type SmtpSession } from './smtp-session.ts';

export interface PoolOptions {
  readonly open: (signal: AbortSignal) => Promise<SmtpSession>;
  readonly connections: number;
  /** A timeout fails all waiting letters if the server has accepted none for so many milliseconds. */
  readonly silenceMs: number;
  /** After a refused connection no more than the open ones are used for so many milliseconds. */
  readonly limitedMs: number;
}

interface Delivery {
  readonly letter: Letter;
  readonly signal: AbortSignal;
  readonly resolve: (answer: string) => void;
  readonly reject: (error: ProviderError) => void;
  session?: SmtpSession;
}

/**
 * A pool of sessions with a queue of letters. A letter is assigned only to a session that is ready, so a server that allows fewer
 * connections than configured fails no letter. A connection that cannot be opened fails the queue only if there is no other one.
 */
export class SmtpPool implements Stoppable {
  readonly #options: PoolOptions;
  readonly #waiting: Delivery[] = [];
  readonly #sessions = new Set<SmtpSession>();
  readonly #idle: SmtpSession[] = [];
  readonly #stopping = new AbortController();
  #opening = 0;
  #limit: { readonly connections: number; readonly until: number } | undefined;
  #acceptedAt = -Infinity;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** Gives the server's answer; rejects with a ProviderError. */
  async send(letter: Letter, signal: AbortSignal): Promise<string> {
    if (this.#stopping.signal.aborted) throw stopped();
    if (signal.aborted) throw aborted(signal);
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const delivery: Delivery = { letter, signal, resolve, reject };
    const giveUp = () => this.#giveUp(delivery);
    signal.addEventListener('abort', giveUp, { once: true });
    this.#waiting.push(delivery);
    this.#assign();
    return promise.finally(() => signal.removeEventListener('abort', giveUp));
  }

  /** Ends letters that are being sent. A caller that wants to keep them waits for them first. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#failWaiting(stopped());
    for (const session of this.#sessions) if (!this.#idle.includes(session)) session.end(stopped());
    await Promise.all(this.#idle.splice(0).map((session) => session.quit()));
  }

  #assign(): void {
    while (this.#waiting.length > 0 && this.#idle.length > 0) {
      const [session, delivery] = [this.#idle.pop(), this.#waiting.shift()];
      if (session && delivery) void this.#deliver(session, delivery);
    }
    while (this.#waiting.length > this.#opening && this.#connections() < this.#maxConnections()) void this.#open();
  }

  #connections(): number {
    return this.#sessions.size + this.#opening;
  }

  #maxConnections(): number {
    const { connections, until } = this.#limit ?? { connections: Infinity, until: 0 };
    return Date.now() < until ? connections : this.#options.connections;
  }

  async #open(): Promise<void> {
    this.#opening += 1;
    try {
      const session = await this.#options.open(this.#stopping.signal);
      this.#opening -= 1;
      this.#opened(session);
    } catch (error) {
      this.#opening -= 1;
      this.#refused(error);
    }
    this.#assign();
  }

  #opened(session: SmtpSession): void {
    if (this.#stopping.signal.aborted) {
      session.end(stopped());
      return;
    }
    this.#sessions.add(session);
    this.#idle.push(session);
    void session.ended.then(() => this.#forget(session));
  }

  /** The other connections, if there are any, are taken as the limit of the server. */
  #refused(error: unknown): void {
    const connections = this.#connections();
    if (connections > 0) this.#limit = { connections, until: Date.now() + this.#options.limitedMs };
    else this.#failWaiting(failureOfConnecting(error));
  }

  #forget(session: SmtpSession): void {
    this.#sessions.delete(session);
    const index = this.#idle.indexOf(session);
    if (index >= 0) this.#idle.splice(index, 1);
    this.#assign();
  }

  async #deliver(session: SmtpSession, delivery: Delivery): Promise<void> {
    delivery.session = session;
    try {
      delivery.resolve(await session.send(delivery.letter));
      this.#acceptedAt = Date.now();
    } catch (error) {
      this.#failed(delivery, error);
      await session.recover(error);
    }
    if (this.#sessions.has(session)) this.#idle.push(session);
    this.#assign();
  }

  #failed(delivery: Delivery, error: unknown): void {
    delivery.session = undefined;
    if (error instanceof StaleSession && !delivery.signal.aborted) return void this.#waiting.unshift(delivery);
    const failure = failureOfSending(error);
    delivery.reject(failure);
    const isSilent = Date.now() - this.#acceptedAt > this.#options.silenceMs;
    if (failure.code === 'MAIL_TIMEOUT' && isSilent) this.#failWaiting(failure);
  }

  #failWaiting(failure: ProviderError): void {
    for (const { reject } of this.#waiting.splice(0)) reject(failure);
  }

  #giveUp(delivery: Delivery): void {
    const index = this.#waiting.indexOf(delivery);
    if (index >= 0) this.#waiting.splice(index, 1);
    delivery.session?.end(aborted(delivery.signal));
    delivery.reject(aborted(delivery.signal));
  }
}
