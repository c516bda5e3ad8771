import { reasonOf, unavailable } from '../../errors.ts';
import type { Position } from '../../events/record.ts';
import { sleep } from '../../concurrency/sleep.ts';
import type { PostgresConnection } from '../../postgres/connection.ts';
import { type Client, type Database, openDatabase } from '../../postgres/pool.ts';
import { type Generation, holdGeneration, servingBuilds } from './generations.ts';
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

/** Reads of the newest serving build. Until there is one that has caught up, every use fails with NOT_READY. */
export interface ReadModel extends Database {
  generation(): Generation | undefined;
  /** The build that this process reads, as long as every answer waits for it. */
  held(): Generation | undefined;
  /** Resolves when reads can be answered for the first time. */
  ready(): Promise<void>;
}

const LOOK_EVERY_MS = 500;
const GUARD_TRIES = 200;

export function openReadModel(options: ReadModelOptions): ReadModel {
  const stopping = new AbortController();
  const { promise: firstBuild, resolve: isReady } = Promise.withResolvers<void>();
  let current: BuildReader | undefined;

  async function follow(): Promise<void> {
    let lastTrouble = '';
    while (!stopping.signal.aborted) {
      try {
        await switchToNewest();
        lastTrouble = '';
      } catch (error) {
        if (reasonOf(error) !== lastTrouble) options.report(`the read model is not to be had: ${reasonOf(error)}`);
        lastTrouble = reasonOf(error);
      }
      await sleep(current ? LOOK_EVERY_MS : 50, stopping.signal);
    }
  }

  async function switchToNewest(): Promise<void> {
    const [newest] = await options.admin.use((client) => servingBuilds(client, options.version));
    if (!newest || newest.id === current?.generation.id) return current?.keepAnchor();
    const next = openBuild(options, newest, stopping.signal);
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
  const following = follow();
  let stopped: Promise<void> | undefined;
  return {
    generation: () => current?.generation,
    held: () => (current?.isHeld() ? current.generation : undefined),
    ready: () => firstBuild,
    use: async (work) => database().use(work),
    query: async (query) => database().query(query),
    stop: () =>
      (stopped ??= (async () => {
        stopping.abort();
        await following;
        await current?.stop();
      })()),
  };
}

interface BuildReader {
  readonly generation: Generation;
  readonly database: Database;
  isHeld(): boolean;
  /** Sees to it that one prepared connection stays open, so that this build is never thought unread meanwhile. */
  keepAnchor(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Connections to one build. Each holds the build and passes the guard before its first use. The first one, and the first
 * after none was left, also waits for the ends of the log: until then nobody waited for this build before answering.
 */
function openBuild(options: ReadModelOptions, generation: Generation, signal: AbortSignal): BuildReader {
  const { connection, namespace, ends, max } = options;
  const held = new Set<Client>();

  const pass = (client: Client, catchUp: boolean) =>
    passGuard(guardOf(client, generation.id), { ends, catchUp, pause: guardPause(signal), tries: GUARD_TRIES });

  async function prepare(client: Client): Promise<void> {
    if (!(await holdGeneration(client, namespace, 'read', generation.id))) {
      throw unavailable('NOT_READY', 'This build of the read models is not served any more.');
    }
    await pass(client, held.size === 0);
    held.add(client);
    client.once('end', () => held.delete(client));
  }

  /** From the hold on every answer waits for this build, so it is not held before somebody feeds it. */
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

/** Stops a database after what was asked of it before: a pool that ends leaves whoever waits for a connection waiting. */
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
