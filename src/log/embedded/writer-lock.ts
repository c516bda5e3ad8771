import { within } from '../../concurrency/deadline.ts';
import { waitFor } from '../../concurrency/poll.ts';
import { retryUntil } from '../../concurrency/retry.ts';
import type { Stoppable } from '../../lifecycle.ts';
import type { PostgresConnection } from '../../postgres/connection.ts';
import { type ServerLock, takeServerLock } from '../../postgres/server-lock.ts';
import { AppendError } from '../event-log.ts';

export interface WriterLockOptions {
  readonly connection: PostgresConnection;
  readonly namespace: string;
  readonly log: (level: 'info' | 'warn' | 'error', message: string) => void;
  /** Called when another process writes this log now. This process cannot append any more and should end. */
  readonly onLost?: (error: Error) => void;
}

/** The right to append. */
export interface WriterLock extends Stoppable {
  /** Resolves when the lock is held, or held again within five seconds. Rejects with an AppendError. */
  held(): Promise<void>;
}

/** A session that has just ended can hold the lock a little longer. */
const PATIENCE_MS = 2_000;
const PAUSE_MS = 100;
const APPENDS_WAIT_MS = 5_000;

/** Another server has the right to append. */
export class LogInUse extends Error {
  constructor(namespace: string) {
    super(`Another OpenMusic server already writes this log (namespace ${namespace}).`);
    this.name = 'LogInUse';
  }
}

/** Rejects with LogInUse when another server holds the lock. */
export async function holdWriterLock(options: WriterLockOptions): Promise<WriterLock> {
  const lock = await take(options);
  if (!lock) throw new LogInUse(options.namespace);
  return new HeldLock(options, lock);
}

/** Undefined when another session still holds it after the patience. */
const take = ({ connection, namespace }: WriterLockOptions): Promise<ServerLock | undefined> =>
  waitFor(() => takeServerLock(connection, `${namespace}.log`), { everyMs: PAUSE_MS, withinMs: PATIENCE_MS });

class HeldLock implements WriterLock {
  readonly #options: WriterLockOptions;
  readonly #stopping = new AbortController();
  #lock: ServerLock;
  /** Set while the lock is not held. Rejects when another process has it. */
  #regaining: Promise<void> | undefined;

  constructor(options: WriterLockOptions, lock: ServerLock) {
    this.#options = options;
    this.#lock = lock;
    this.#watch();
  }

  async held(): Promise<void> {
    if (this.#regaining) await within(APPENDS_WAIT_MS, lockLost, this.#regaining);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#regaining?.catch(() => undefined);
    await this.#lock.stop();
  }

  #watch(): void {
    void this.#lock.lost.then((error) => {
      this.#options.log('warn', `the lock on the log was lost and is taken again: ${error.message}`);
      this.#regaining = this.#regain();
      this.#regaining.catch(() => undefined); // reported by onLost, and to every append
    });
  }

  async #regain(): Promise<void> {
    await this.#lock.stop();
    const lock = await retryUntil(this.#stopping.signal, () => take(this.#options), { pauseMs: PAUSE_MS });
    if (!lock) throw this.#giveUp();
    this.#lock = lock;
    this.#regaining = undefined;
    this.#options.log('info', 'the lock on the log is held again');
    this.#watch();
  }

  #giveUp(): AppendError {
    const lost = new AppendError('refused', 'another OpenMusic server has taken over this log');
    if (!this.#stopping.signal.aborted) this.#options.onLost?.(lost);
    return lost;
  }
}

const lockLost = () => new AppendError('refused', 'the lock on the log is lost at present');
