import { randomUUID } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import {
  type CacheEntry,
  type CacheServer,
  EPOCH_MS,
  ENTRY_MS,
  isEntryOf,
  isEpoch,
  isMark,
  type Lease,
  LEASE_MS,
  MARK_MS,
  validityOf,
} from './cache.ts';

export interface MemoryOptions {
  /** Milliseconds by a clock that never goes back. */
  readonly now: () => number;
  /** Characters of entries that are kept, about; those that were not read for the longest time go first. */
  readonly size?: number;
}

interface Value {
  readonly text: string;
  readonly until: number;
}

const SIZE = 64 * 1024 * 1024;

/** A cache in this process: what is in it ends with the process. */
export function createMemoryCache({ now, size = SIZE }: MemoryOptions): CacheServer {
  const runId = randomUUID();
  let current: string | undefined;
  /** Entries and leases, any of which may go at any time. */
  const entries = new LRUCache<string, Value>({ maxSize: size, sizeCalculation: ({ text }) => text.length });
  /** Marks and epochs, which may not. */
  const lasting = new Map<string, Value>();

  function get(name: string): string | undefined {
    const holder = lasting.has(name) ? lasting : entries;
    const value = holder.get(name);
    if (value === undefined || value.until > now()) return value?.text;
    holder.delete(name);
    return undefined;
  }

  function set(name: string, text: string, ms: number): void {
    const [holder, other] = isMark(text) || isEpoch(text) ? [lasting, entries] : [entries, lasting];
    other.delete(name);
    holder.set(name, { text, until: now() + ms });
  }

  const nameOf = (incarnation: string, key: string) => `${incarnation} ${key}`;
  const isCurrent = (incarnation: string) => incarnation === current;

  function begin(incarnation: string): void {
    current = incarnation;
    entries.clear();
    lasting.clear();
  }

  function epochOf(name: string, fresh: string): string {
    const found = get(name);
    if (found !== undefined) return found;
    set(name, `#${fresh}`, EPOCH_MS);
    return `#${fresh}`;
  }

  function lease(incarnation: string, { key, epochs }: CacheEntry, { token, variant }: Lease): string | undefined {
    const found = epochs.map((epoch) => epochOf(nameOf(incarnation, epoch), token));
    const validity = validityOf(variant, found);
    const name = nameOf(incarnation, key);
    const held = get(name);
    if (validity === undefined || (held !== undefined && !isReplaceable(held, validity))) return undefined;
    set(name, `?${token}`, LEASE_MS);
    return validity;
  }

  function fill(name: string, token: string, entry: string): boolean {
    if (get(name) !== `?${token}`) return false;
    set(name, entry, ENTRY_MS);
    return true;
  }

  function mark(name: string, token: string): void {
    const held = get(name);
    const holders = isMark(held) ? livingHolders(held, now()) : [];
    set(name, markOf([...holders, { token, since: now() }]), MARK_MS);
  }

  function release(name: string, token: string): void {
    const held = get(name);
    if (!isMark(held)) return;
    const holders = livingHolders(held, now()).filter((holder) => holder.token !== token);
    const until = lasting.get(name)?.until ?? 0;
    if (holders.length === 0) lasting.delete(name);
    else set(name, markOf(holders), until - now());
  }

  return {
    identify: async () => Promise.resolve({ runId, incarnation: current }),
    begin: (incarnation) => {
      begin(incarnation);
      return Promise.resolve();
    },
    read: async (incarnation, keys) =>
      Promise.resolve(isCurrent(incarnation) ? keys.map((key) => get(nameOf(incarnation, key))) : undefined),
    lease: async (incarnation, wanted, right) =>
      Promise.resolve(isCurrent(incarnation) ? lease(incarnation, wanted, right) : undefined),
    fill: async (incarnation, key, token, entry) =>
      Promise.resolve(isCurrent(incarnation) && fill(nameOf(incarnation, key), token, entry)),
    mark: async (incarnation, keys, token) => {
      if (isCurrent(incarnation)) for (const key of keys) mark(nameOf(incarnation, key), token);
      return Promise.resolve(isCurrent(incarnation));
    },
    release: async (incarnation, keys, token) => {
      for (const key of keys) release(nameOf(incarnation, key), token);
      return Promise.resolve();
    },
    onReset: () => undefined,
    stop: () => Promise.resolve(),
  };
}

/** A lease takes the place of an entry that does not count. */
const isReplaceable = (held: string, validity: string) => held.startsWith('=') && !isEntryOf(held, validity);

interface Holder {
  readonly token: string;
  /** Milliseconds. */
  readonly since: number;
}

/** Of a mark: whose part of it is not dead yet. */
function livingHolders(mark: string, now: number): Holder[] {
  const holders = mark
    .slice(1)
    .split(' ')
    .map((part) => part.split('@'))
    .map(([token = '', since]) => ({ token, since: Number(since) }));
  return holders.filter(({ since }) => now - since < MARK_MS);
}

const markOf = (holders: readonly Holder[]) => `!${holders.map(({ token, since }) => `${token}@${since}`).join(' ')}`;
