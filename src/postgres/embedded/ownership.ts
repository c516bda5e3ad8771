import { waitFor } from '../../concurrency/poll.ts';
import { sleep } from '../../concurrency/sleep.ts';
import type { Stoppable } from '../../lifecycle.ts';
import { isRecovering } from '../outage.ts';
import { type ServerLock, takeServerLock } from '../server-lock.ts';
import { connectionTo } from './database.ts';
import type { Home } from './home.ts';
import { findPostmaster, type PidFile, type Postmaster, readPidFile } from './postmaster.ts';
import { isAlive } from './processes.ts';

/** Another live OpenMusic process serves that data. */
export class EmbeddedPostgresInUse extends Error {
  constructor(dataDir: string, owner: string | undefined) {
    const who = owner ? ` (pid ${Number.parseInt(owner, 10)})` : '';
    super(`${dataDir} is in use by another OpenMusic process${who}: stop that one first, or set another DATA_DIR.`);
    this.name = 'EmbeddedPostgresInUse';
  }
}

/** The owner of a cluster's server: there is no server, a live OpenMusic process owns it, or it outlived the one that started it. */
export type HomeOwnership =
  | { readonly kind: 'absent' }
  | { readonly kind: 'owned'; readonly server: PidFile & { owner?: string } }
  | { readonly kind: 'left-over'; readonly server: Postmaster };

const ABSENT: HomeOwnership = { kind: 'absent' };

/**
 * The lock decides. While a server starts no session holds it yet, so it is owned if the process that started it is alive. A server
 * whose process is not visible, as from another container, is owned if it accepts our password, or if it says that it recovers from a
 * crash: another server started beside it would write into the same files.
 */
export async function ownershipOf(home: Home, password: string): Promise<HomeOwnership> {
  const server = await findPostmaster(home.cluster);
  if (server?.owner && (await isAlive(server.owner))) return { kind: 'owned', server };
  const named = server ?? (await readPidFile(home.cluster));
  if (!named) return ABSENT;
  const lock = await probeLock(named.port, password);
  if (lock === 'held' || (lock !== 'unreachable' && !server)) return { kind: 'owned', server: named };
  return server ? { kind: 'left-over', server } : ABSENT;
}

async function probeLock(port: number, password: string): Promise<'held' | 'granted' | 'recovering' | 'unreachable'> {
  try {
    const lock = await takeLock(port, password);
    await lock?.stop();
    return lock ? 'granted' : 'held';
  } catch (error) {
    return isRecovering(error) ? 'recovering' : 'unreachable';
  }
}

/** In a database that is never cloned or dropped, because the session would prevent that. */
const takeLock = (port: number, password: string): Promise<ServerLock | undefined> =>
  takeServerLock(connectionTo(port, password, 'postgres'), 'embedded-postgres');

const RETAKE_MS = 100;

/**
 * Holds the lock until `over`, and takes it again after a crash of one backend, which makes Postgres restart all of them. Undefined
 * when another session holds it.
 */
export async function holdServer(port: number, password: string, over: AbortSignal): Promise<Stoppable | undefined> {
  const first = await takeLock(port, password);
  if (!first) return undefined;
  let current = first;
  const keep = async () => {
    for (let lock: ServerLock | undefined = first; lock; lock = await retake(port, password, over)) {
      current = lock;
      await lock.lost;
    }
  };
  void keep();
  return { stop: () => current.stop() };
}

async function retake(port: number, password: string, over: AbortSignal): Promise<ServerLock | undefined> {
  await sleep(RETAKE_MS, over);
  const take = () => takeLock(port, password).catch(() => undefined);
  const lock = await waitFor(take, { everyMs: RETAKE_MS, withinMs: Infinity, signal: over });
  if (!over.aborted) return lock;
  await lock?.stop();
  return undefined;
}
