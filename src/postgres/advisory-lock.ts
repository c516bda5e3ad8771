import { waitFor } from '../concurrency/poll.ts';
import { type GenerationUse, lockClass } from './generation-lock.ts';
import type { Client } from './pool.ts';

/*
 * All advisory locks. One belongs to its session, or to its transaction, so Postgres releases it when the process dies. Locks of two
 * databases of one server are independent. `ServerLock` holds one on a connection of its own.
 */

export interface WaitForLock {
  readonly everyMs: number;
  readonly signal?: AbortSignal;
  /** Called after each failed try. Throws to give up. */
  readonly onBusy: () => void | Promise<void>;
}

/** Runs `work` while this session holds the lock `name`. Rejects with what `onBusy` throws, and when the signal fires. */
export async function withAdvisoryLock<T>(
  client: Client,
  name: string,
  { everyMs, signal, onBusy }: WaitForLock,
  work: () => Promise<T>,
): Promise<T> {
  const take = async () => {
    if (await tryLock(client, name)) return true;
    await onBusy();
    return undefined;
  };
  const isTaken = await waitFor(take, { everyMs, withinMs: Infinity, signal });
  try {
    signal?.throwIfAborted();
    return await work();
  } finally {
    // A connection that broke has released the lock already.
    if (isTaken) await client.query('SELECT pg_advisory_unlock(hashtext($1))', [name]).catch(() => undefined);
  }
}

async function tryLock(client: Client, name: string): Promise<boolean> {
  const text = 'SELECT pg_try_advisory_lock(hashtext($1)) AS taken';
  return (await client.query<{ taken: boolean }>(text, [name])).rows[0]?.taken ?? false;
}

/** Waits in Postgres for the lock `name`, which is held until the session ends. */
export async function lockSession(client: Client, name: string): Promise<void> {
  await client.query('SELECT pg_advisory_lock(hashtext($1))', [name]);
}

/** Waits in Postgres for the lock `name`, which is held until the transaction ends. */
export async function lockTransaction(client: Client, name: string): Promise<void> {
  await client.query('SELECT pg_advisory_xact_lock(hashtext($1))', [name]);
}

/** SQL that waits for the lock that the text `name`, an SQL expression, names. It is held until the transaction ends. */
export const lockUntilEnd = (name: string): string => `pg_advisory_xact_lock(hashtextextended(${name}, 0))`;

/** SQL that tries to take the lock `key`, an SQL expression of type bigint, until the session ends. True when it is taken. */
export const tryLockKey = (key: string): string => `pg_try_advisory_lock(${key})`;

/** Declares until the session ends that the generation is used. Many sessions can hold this lock. */
export async function shareGeneration(client: Client, use: GenerationUse, namespace: string, id: number) {
  await client.query(`SELECT pg_advisory_lock_shared(${lockClass(use, '$1')}, $2)`, [namespace, id]);
}

/** Whether no other session uses the generation in this way. True excludes others until the transaction ends. */
export async function tryLockGeneration(client: Client, use: GenerationUse, namespace: string, id: number) {
  const text = `SELECT pg_try_advisory_xact_lock(${lockClass(use, '$1')}, $2) AS taken`;
  return (await client.query<{ taken: boolean }>(text, [namespace, id])).rows[0]?.taken ?? false;
}
