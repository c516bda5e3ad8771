import type { FastifyReply } from 'fastify';
import { clientLeft, unavailable } from '../errors.ts';

export interface PlacesOptions {
  /** Places of one key. */
  readonly each: number;
  /** Of all keys together. */
  readonly all: number;
  /** That may wait for one, of one key. */
  readonly waiting: number;
  /** How long one is waited for. */
  readonly waitMs: number;
}

/** Gives a place back; twice is fine. */
export type Leave = () => void;

export interface Places {
  /** Resolves when there is a place; to undefined when there was none in time, when too many wait, or once `gone` fires. */
  take(key: string, gone?: AbortSignal): Promise<Leave | undefined>;
}

interface Waiter {
  readonly key: string;
  seat(leave: Leave | undefined): void;
}

/** A limit on how much is done at once: for each key, and in all. Places are given in the order in which they were asked for. */
export function createPlaces({ each, all, waiting, waitMs }: PlacesOptions): Places {
  const taken = new Map<string, number>();
  const queue = new Set<Waiter>();
  let total = 0;
  const isFree = (key: string) => total < all && (taken.get(key) ?? 0) < each;

  function sit(key: string): Leave {
    total++;
    taken.set(key, (taken.get(key) ?? 0) + 1);
    let isSitting = true;
    return () => {
      if (!isSitting) return;
      isSitting = false;
      free(key);
    };
  }

  function free(key: string): void {
    total--;
    const left = (taken.get(key) ?? 1) - 1;
    if (left > 0) taken.set(key, left);
    else taken.delete(key);
    const next = [...queue].find((waiter) => isFree(waiter.key));
    next?.seat(sit(next.key));
  }

  function wait(key: string, gone: AbortSignal | undefined): Promise<Leave | undefined> {
    const { promise, resolve } = Promise.withResolvers<Leave | undefined>();
    const giveUp = () => waiter.seat(undefined);
    const timer = setTimeout(giveUp, waitMs);
    const waiter: Waiter = {
      key,
      seat(leave) {
        clearTimeout(timer);
        gone?.removeEventListener('abort', giveUp);
        queue.delete(waiter);
        resolve(leave);
      },
    };
    queue.add(waiter);
    gone?.addEventListener('abort', giveUp);
    return promise;
  }

  return {
    async take(key, gone) {
      if (gone?.aborted) return undefined;
      if (isFree(key)) return sit(key);
      const ahead = [...queue].filter((waiter) => waiter.key === key);
      return ahead.length < waiting ? wait(key, gone) : undefined;
    },
  };
}

/** Takes a place until the answer is sent, or the client is gone. Throws TOO_MANY_AT_ONCE when there is none in time. */
export async function placeFor(places: Places, key: string, reply: FastifyReply, message: string): Promise<void> {
  const { raw } = reply;
  const gone = new AbortController();
  raw.once('close', () => gone.abort());
  if (raw.destroyed) gone.abort();
  const leave = await places.take(key, gone.signal);
  if (!leave) {
    reply.removeHeader('etag');
    throw gone.signal.aborted ? clientLeft() : unavailable('TOO_MANY_AT_ONCE', message, undefined, RETRY_AFTER_SECONDS);
  }
  if (gone.signal.aborted) leave();
  gone.signal.addEventListener('abort', leave);
}

const RETRY_AFTER_SECONDS = 10;
