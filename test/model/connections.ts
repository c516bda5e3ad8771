import type { ModelPostgres } from './postgres.ts';
import type { Actor, Scheduler } from './scheduler.ts';

/** One connection. It belongs to the incarnation of Postgres in which it was opened, and fails in any other. */
export interface Connection {
  /** One statement. Fails when a crash happens before its answer arrives. */
  run<T>(statement: () => T): Promise<T>;
}

interface PooledConnection extends Connection {
  readonly incarnation: number;
}

/**
 * A process's connections. None is used before it was prepared, and none after a failure. A connection that a crash broke
 * is detected at once, or by its next use.
 */
export class Connections {
  readonly #scheduler: Scheduler;
  readonly #postgres: ModelPostgres;
  readonly #actor: Actor;
  readonly #prepare: (connection: Connection) => Promise<void>;
  #idle: PooledConnection[] = [];
  /** Prepared and, as far as the process can tell, open. */
  readonly #open = new Set<PooledConnection>();

  constructor(
    { scheduler, postgres }: { scheduler: Scheduler; postgres: ModelPostgres },
    actor: Actor,
    prepare: (connection: Connection) => Promise<void> = () => Promise.resolve(),
  ) {
    this.#scheduler = scheduler;
    this.#postgres = postgres;
    this.#actor = actor;
    this.#prepare = prepare;
  }

  get open(): number {
    return this.#open.size;
  }

  async query<T>(statement: () => T): Promise<T> {
    const connection = this.#idle.pop() ?? (await this.#connect());
    try {
      const result = await connection.run(statement);
      this.#idle.push(connection);
      return result;
    } catch (error) {
      this.#open.delete(connection);
      throw error;
    }
  }

  /** Postgres has crashed: some of the idle connections are found broken before they are used. */
  notice(): void {
    for (const connection of this.#idle) if (this.#scheduler.chance(0.5)) this.#open.delete(connection);
    this.#idle = this.#idle.filter((connection) => this.#open.has(connection));
  }

  async #connect(): Promise<PooledConnection> {
    const incarnation = await this.#scheduler.call(this.#actor, () => this.#postgres.incarnation);
    const connection = { incarnation, run: <T>(statement: () => T) => this.#run(incarnation, statement) };
    await this.#prepare(connection);
    this.#open.add(connection);
    return connection;
  }

  #run<T>(incarnation: number, statement: () => T): Promise<T> {
    const mustLive = () => {
      if (this.#postgres.incarnation !== incarnation) throw new Error('the connection is broken');
    };
    const request = () => {
      mustLive();
      return statement();
    };
    // An answer that was sent before the crash may still arrive.
    const arrives = () => {
      if (this.#scheduler.chance(0.5)) mustLive();
    };
    return this.#scheduler.call(this.#actor, request, arrives);
  }
}
