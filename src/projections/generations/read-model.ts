import { reasonOf, unavailable } from '../../errors.ts';
import type { Position } from '../../events/record.ts';
import { poll } from '../../concurrency/poll.ts';
import type { PostgresConnection } from '../../postgres/connection.ts';
import { type Client, type Database, openDatabase } from '../../postgres/pool.ts';
import { type Generation, holdGeneration, servingGenerations } from './generations.ts';
import { guardOf, guardPause, passGuard } from './guard.ts';

export interface ReadModelOptions {
  readonly connection: PostgresConnection;
  readonly namespace: string;
  /** Version of the read models that this code reads. */
  readonly version: number;
  readonly max: number;
  /** The log's ends of every event partition. */
  readonly ends: () => Promise<readonly Position[]>;
  /** Not bound to a generation. */
  readonly admin: Database;
  readonly report: (message: string) => void;
}

/** Reads of the newest serving generation. Until one has caught up, every use fails with NOT_READY. */
export interface ReadModel extends Database {
  generation(): Generation | undefined;
  /** The generation that this process reads, as long as every answer waits for it. */
  held(): Generation | undefined;
  /** Resolves when reads can be answered for the first time. */
  ready(): Promise<void>;
}

const POLL_EVERY_MS = 500;
/** Until the first generation serves. */
const FIRST_POLL_EVERY_MS = 50;
const GUARD_TRIES = 200;

export function openReadModel(options: ReadModelOptions): ReadModel {
  const { promise: firstGeneration, resolve: isReady } = Promise.withResolvers<void>();
  let current: GenerationReader | undefined;

  let lastProblem = '';

  async function follow(signal: AbortSignal): Promise<void> {
    await switchToNewest(signal);
    lastProblem = '';
  }

  function onFailure(error: unknown): void {
    if (reasonOf(error) !== lastProblem) options.report(`the read models cannot be opened: ${reasonOf(error)}`);
    lastProblem = reasonOf(error);
  }

  async function switchToNewest(signal: AbortSignal): Promise<void> {
    const [newest] = await options.admin.use((client) => servingGenerations(client, options.version));
    if (!newest || newest.id === current?.generation.id) return current?.keepAnchor();
    const next = openGenerationReader(options, newest, signal);
    try {
      await next.keepAnchor();
    } catch (error) {
      await next.stop();
      throw error;
    }
    const before = current;
    current = next;
    isReady();
    await before?.stop();
  }

  const database = (): Database => {
    if (!current) throw unavailable('NOT_READY', 'The read models are being built.');
    return current.database;
  };
  const following = poll(follow, { everyMs: () => (current ? POLL_EVERY_MS : FIRST_POLL_EVERY_MS), onFailure });
  let stopped: Promise<void> | undefined;
  return {
    generation: () => current?.generation,
    held: () => (current?.isHeld() ? current.generation : undefined),
    ready: () => firstGeneration,
    use: async (work) => database().use(work),
    query: async (query) => database().query(query),
    stop: () =>
      (stopped ??= (async () => {
        await following.stop();
        await current?.stop();
      })()),
  };
}

interface GenerationReader {
  readonly generation: Generation;
  readonly database: Database;
  isHeld(): boolean;
  /** Keeps one prepared connection open, so that the generation counts as read all the time. */
  keepAnchor(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Connections to one generation. Each holds the generation and passes the guard before its first use. The first one, and the
 * first after none was left, also waits for the ends of the log, because until then no answer waited for this generation.
 */
function openGenerationReader(
  options: ReadModelOptions,
  generation: Generation,
  signal: AbortSignal,
): GenerationReader {
  const { connection, namespace, ends, max } = options;
  const held = new Set<Client>();

  const pass = (client: Client, catchUp: boolean) =>
    passGuard(guardOf(client, generation.id), { ends, catchUp, pause: guardPause(signal), tries: GUARD_TRIES });

  async function prepare(client: Client): Promise<void> {
    if (!(await holdGeneration(client, namespace, 'read', generation.id))) {
      throw unavailable('NOT_READY', 'This generation of the read models no longer serves.');
    }
    await pass(client, held.size === 0);
    held.add(client);
    client.once('end', () => held.delete(client));
  }

  /** Every answer waits for a held generation, so it is held only after its projector has reached the ends of the log. */
  async function prepareAnchor(client: Client): Promise<void> {
    if (held.size === 0) await pass(client, true);
    await prepare(client);
  }

  const searchPath = [generation.schema, namespace, 'public'];
  const common = { name: 'openmusic reads', searchPath, prepare };
  const lasting = { name: 'openmusic anchor', searchPath, prepare: prepareAnchor, max: 1, idleTimeoutMs: 0 };
  const database = draining(openDatabase(connection, { ...common, max }));
  const anchor = openDatabase(connection, lasting);
  return {
    generation,
    database,
    isHeld: () => held.size > 0,
    async keepAnchor() {
      await anchor.query({ text: 'SELECT 1' });
    },
    async stop() {
      await Promise.all([database.stop(), anchor.stop()]);
    },
  };
}

/** Stops a database after its pending queries: a pool that ends leaves queries that wait for a connection waiting. */
function draining(database: Database): Database {
  const underWay = new Set<Promise<unknown>>();
  const track = async <T>(work: Promise<T>): Promise<T> => {
    underWay.add(work);
    return work.finally(() => underWay.delete(work));
  };
  return {
    use: (work) => track(database.use(work)),
    query: (query) => track(database.query(query)),
    async stop() {
      await Promise.allSettled(underWay);
      await database.stop();
    },
  };
}
