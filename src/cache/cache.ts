import type { Stoppable } from '../lifecycle.ts';

/** An answer as it is sent. */
export interface CachedResponse {
  /** JSON text. */
  readonly body: string;
  readonly etag?: string;
  /** Accounts that may read it; undefined: everybody. */
  readonly readers?: readonly string[];
  /** The body is only the beginning of a long answer, of this version: it is read anew for each who asks, and never cached. */
  readonly beginning?: { readonly version: number | undefined };
}

/** What can be cached, and by what else its entries are made void. */
export interface CacheEntry {
  readonly key: string;
  /** Keys of what one event changes in many answers: while such a key is marked, and after, no older entry counts. */
  readonly epochs: readonly string[];
}

/** Who the server is, and what it holds. */
export interface Identity {
  /** Another one after every start of the server, and of whatever takes its place. */
  readonly runId: string;
  /** The incarnation whose keys are there; undefined when its key is missing. */
  readonly incarnation: string | undefined;
  /** Why nothing may be cached in it. */
  readonly unfit?: string;
}

/**
 * What holds entries, leases and marks: Redis, or a map in process. Every call is atomic. A call for an incarnation that the
 * server does not repeat does nothing. Calls reject when the server does not answer in time; then nobody knows what it did.
 */
export interface CacheServer extends Stoppable {
  identify(): Promise<Identity>;
  /** Says from now on that this is the incarnation. */
  begin(incarnation: string): Promise<void>;
  /** Values as they are, undefined where there is none. Undefined in all: it is another incarnation. */
  read(incarnation: string, keys: readonly string[]): Promise<(string | undefined)[] | undefined>;
  /**
   * Takes the right to fill an entry, where there is nothing, or an entry of other epochs. Missing epochs are made. Returns
   * the validity that the entry is to have.
   */
  lease(incarnation: string, wanted: CacheEntry, lease: Lease): Promise<string | undefined>;
  /** Stores an entry if the lease is still there. */
  fill(incarnation: string, key: string, token: string, entry: string): Promise<boolean>;
  /** Puts a mark over whatever is there. False in another incarnation. */
  mark(incarnation: string, keys: readonly string[], token: string): Promise<boolean>;
  /** Takes a mark off; the last one off deletes the key. */
  release(incarnation: string, keys: readonly string[], token: string): Promise<void>;
  /** Calls back whenever what was found out about the server may no longer be true. */
  onReset(listener: () => void): void;
}

export interface Lease {
  readonly token: string;
  /** First part of the validity: entries that were made otherwise do not count. */
  readonly variant: string;
}

export const LEASE_MS = 5_000;
export const ENTRY_MS = 30 * 60_000;
/** Longer than any entry. */
export const EPOCH_MS = 24 * 60 * 60_000;
/** The mark of a projector that died goes away after so long, unless it is configured. */
export const MARK_MS = 60_000;
/** A commit is refused when its marks have lived for this share of their time: they must outlast it. */
export const COMMIT_WITHIN = 0.5;

/*
 * A value is one of these, told apart by its first character:
 *   =validity\netag\nreaders\nbody   an entry
 *   ?token                           a lease
 *   !token@ms token@ms …             a mark: who holds it, and since when by the server's clock
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
