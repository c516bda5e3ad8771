import { randomUUID } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { type CacheServer, EPOCH_MS, ENTRY_MS, isEntryOf, isEpoch, isMark, LEASE_MS, MARK_MS } from './cache.ts';

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

  /** Of a mark: whose part of it is not dead yet. */
  const holdersOf = (mark: string) =>
    mark
      .slice(1)
      .split(' ')
      .map((part) => part.split('@'))
      .flatMap(([token = '', since = '']) => (now() - Number(since) < MARK_MS ? [{ token, since }] : []));

  const markOf = (holders: readonly { token: string; since: string }[]) =>
    `!${holders.map(({ token, since }) => `${token}@${since}`).join(' ')}`;

  const operations = {
    lease: (incarnation: string, key: string, epochs: readonly string[], token: string, variant: string) => {
      const found = epochs.map((epoch) => epochOf(nameOf(incarnation, epoch), token));
      if (!found.every(isEpoch)) return undefined;
      const validity = variant + found.join('');
      const held = get(nameOf(incarnation, key));
      if (held !== undefined && (!held.startsWith('=') || isEntryOf(held, validity))) return undefined;
      set(nameOf(incarnation, key), `?${token}`, LEASE_MS);
      return validity;
    },
    fill(name: string, token: string, entry: string) {
      if (get(name) !== `?${token}`) return false;
      set(name, entry, ENTRY_MS);
      return true;
    },
    mark(name: string, token: string) {
      const held = get(name);
      const holders = isMark(held) ? holdersOf(held) : [];
      set(name, markOf([...holders, { token, since: String(now()) }]), MARK_MS);
    },
    release(name: string, token: string) {
      const held = get(name);
      if (!isMark(held)) return;
      const holders = holdersOf(held).filter((holder) => holder.token !== token);
      const until = lasting.get(name)?.until ?? 0;
      if (holders.length === 0) lasting.delete(name);
      else set(name, markOf(holders), until - now());
    },
  };

  return {
    identify: async () => Promise.resolve({ runId, incarnation: current }),
    begin: (incarnation) => {
      begin(incarnation);
      return Promise.resolve();
    },
    read: async (incarnation, keys) =>
      Promise.resolve(incarnation === current ? keys.map((key) => get(nameOf(incarnation, key))) : undefined),
    lease: async (incarnation, { key, epochs }, { token, variant }) =>
      Promise.resolve(incarnation === current ? operations.lease(incarnation, key, epochs, token, variant) : undefined),
    fill: async (incarnation, key, token, entry) =>
      Promise.resolve(incarnation === current && operations.fill(nameOf(incarnation, key), token, entry)),
    mark: async (incarnation, keys, token) => {
      if (incarnation === current) for (const key of keys) operations.mark(nameOf(incarnation, key), token);
      return Promise.resolve(incarnation === current);
    },
    release: async (incarnation, keys, token) => {
      for (const key of keys) operations.release(nameOf(incarnation, key), token);
      return Promise.resolve();
    },
    onReset: () => undefined,
    stop: () => Promise.resolve(),
  };
}
