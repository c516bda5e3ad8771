import type { Stoppable } from '../lifecycle.ts';

/** An answer as it is sent. */
export interface CachedResponse {
  /** JSON text. */
  readonly body: string;
  readonly etag?: string;
  /** Accounts that may read it; undefined: all. */
  readonly readers?: readonly string[];
  /** The body is only the beginning of a long answer of this version. It is read again for each request and never cached. */
  readonly beginning?: { readonly version: number | undefined };
}

/** What can be cached, and the epochs that invalidate its entries. */
export interface CacheEntry {
  readonly key: string;
  /** Keys of what one event changes in many answers. While such a key is marked, and after, older entries are invalid. */
  readonly epochs: readonly string[];
}

/** Which server it is, and what it holds. */
export interface Identity {
  /** Differs after every start of the server, and for a server that replaces it. */
  readonly runId: string;
  /** The incarnation whose keys are there; undefined when its key is missing. */
  readonly incarnation: string | undefined;
  /** Why nothing may be cached in it. */
  readonly unfit?: string;
}

/**
 * Holds entries, leases and marks: Redis, or a map in process. Every call is atomic. A call for an incarnation that the server
 * does not repeat does nothing. Calls reject when the server does not answer in time; its effect is unknown then.
 */
export interface CacheServer extends Stoppable {
  identify(): Promise<Identity>;
  /** Makes the server repeat this incarnation from now on. */
  begin(incarnation: string): Promise<void>;
  /** The stored values, undefined where there is none. The whole result is undefined in another incarnation. */
  read(incarnation: string, keys: readonly string[]): Promise<(string | undefined)[] | undefined>;
  /**
   * Takes the right to fill an entry where there is none, or one of other epochs. Creates missing epochs. Returns the validity
   * that the entry must have; undefined when the right was not given.
   */
  lease(incarnation: string, wanted: CacheEntry, lease: Lease): Promise<string | undefined>;
  /** Stores an entry if the lease is still there. */
  fill(incarnation: string, key: string, token: string, entry: string): Promise<boolean>;
  /** Puts a mark in the place of any value. False in another incarnation. */
  mark(incarnation: string, keys: readonly string[], token: string): Promise<boolean>;
  /** Removes a holder from each mark; the last one removed deletes the key. */
  release(incarnation: string, keys: readonly string[], token: string): Promise<void>;
  /** Calls back when the connection was lost, after which another server may answer. */
  onReset(listener: () => void): void;
}

export interface Lease {
  readonly token: string;
  /** First part of the validity: entries of another variant are invalid. */
  readonly variant: string;
}

export const LEASE_MS = 5_000;
export const ENTRY_MS = 30 * 60_000;
/** Longer than any entry. */
export const EPOCH_MS = 24 * 60 * 60_000;
/** After this time the mark of a projector that died expires, unless another time is configured. */
export const MARK_MS = 60_000;
/** A commit is refused when its marks have used up this share of their time, because they must outlast the commit. */
export const COMMIT_WITHIN = 0.5;

/*
 * A value is one of these, told apart by its first character:
 *   =validity\netag\nreaders\nbody   an entry
 *   ?token                           a lease
 *   !token@ms token@ms …             a mark: its holders, each with its start by the server's clock
 *   #random                          an epoch
 */
export const isEpoch = (value: string | undefined): value is string => value?.startsWith('#') ?? false;
export const isMark = (value: string | undefined): value is string => value?.startsWith('!') ?? false;

/** The validity of an entry of these epochs; undefined when one is missing or marked. */
export function validityOf(variant: string, epochs: readonly (string | undefined)[]): string | undefined {
  return epochs.every(isEpoch) ? variant + epochs.join('') : undefined;
}

/** Whether the value is an entry of this validity. */
export const isEntryOf = (value: string, validity: string): boolean =>
  value.startsWith('=') && value.startsWith(`${validity}\n`, 1);

export function encodeEntry(validity: string, { body, etag = '', readers }: CachedResponse): string {
  return `=${validity}\n${etag}\n${readers ? readers.join(' ') : '*'}\n${body}`;
}

/** The answer in a value, if it is an entry of this validity. */
export function decodeEntry(value: string | undefined, validity: string): CachedResponse | undefined {
  if (value === undefined || !isEntryOf(value, validity)) return undefined;
  const tagAt = validity.length + 2;
  const readersAt = value.indexOf('\n', tagAt) + 1;
  const bodyAt = value.indexOf('\n', readersAt) + 1;
  const etag = value.slice(tagAt, readersAt - 1);
  const readers = value.slice(readersAt, bodyAt - 1);
  return {
    body: value.slice(bodyAt),
    ...(etag !== '' && { etag }),
    ...(readers !== '*' && { readers: readers === '' ? [] : readers.split(' ') }),
  };
}
