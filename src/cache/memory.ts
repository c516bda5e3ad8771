import { randomUUID } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import {
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
  /** About how many characters of entries are stored; the least recently read entries are evicted first. */
  readonly size?: number;
}

interface Value {
  readonly text: string;
  /** When it expires, in milliseconds of `now`. */
  readonly until: number;
}

const SIZE = 64 * 1024 * 1024;

/** Values by name, each with its end of life. Entries and leases may be evicted at any time; marks and epochs may not. */
class Values {
  readonly #now: () => number;
  readonly #evictable: LRUCache<string, Value>;
  readonly #lasting = new Map<string, Value>();

  constructor(now: () => number, size: number) {
    this.#now = now;
    this.#evictable = new LRUCache({ maxSize: size, sizeCalculation: ({ text }) => text.length });
  }

  get(name: string): string | undefined {
    const holder = this.#lasting.has(name) ? this.#lasting : this.#evictable;
    const value = holder.get(name);
    if (value === undefined || value.until > this.#now()) return value?.text;
    holder.delete(name);
    return undefined;
  }

  set(name: string, text: string, ms: number): void {
    this.#put(name, { text, until: this.#now() + ms });
  }

  /** Replaces the text of a mark. It ends when it would have ended. */
  replace(name: string, text: string): void {
    const until = this.#lasting.get(name)?.until;
    if (until !== undefined) this.#put(name, { text, until });
  }

  delete(name: string): void {
    this.#lasting.delete(name);
    this.#evictable.delete(name);
  }

  clear(): void {
    this.#lasting.clear();
    this.#evictable.clear();
  }

  #put(name: string, value: Value): void {
    const isLasting = isMark(value.text) || isEpoch(value.text);
    const [holder, other] = isLasting ? [this.#lasting, this.#evictable] : [this.#evictable, this.#lasting];
    other.delete(name);
    holder.set(name, value);
  }
}

/** A cache in this process. Its contents end with the process. */
export function createMemoryCache({ now, size = SIZE }: MemoryOptions): CacheServer {
  const runId = randomUUID();
  const values = new Values(now, size);
  let current: string | undefined;
  /** Runs `work` on the names of the keys, unless another incarnation is the current one. */
  const inCurrent = async <T>(incarnation: string, otherwise: T, work: (nameOf: (key: string) => string) => T) =>
    Promise.resolve(incarnation === current ? work(namesIn(incarnation)) : otherwise);

  return {
    identify: async () => Promise.resolve({ runId, incarnation: current }),
    begin: (incarnation) => {
      current = incarnation;
      values.clear();
      return Promise.resolve();
    },
    read: (incarnation, keys) =>
      inCurrent(incarnation, undefined, (nameOf) => keys.map((key) => values.get(nameOf(key)))),
    lease: (incarnation, { key, epochs }, request) =>
      inCurrent(incarnation, undefined, (nameOf) => lease(values, nameOf(key), epochs.map(nameOf), request)),
    fill: (incarnation, key, token, entry) =>
      inCurrent(incarnation, false, (nameOf) => fill(values, nameOf(key), token, entry)),
    mark: (incarnation, keys, token) =>
      inCurrent(incarnation, false, (nameOf) => {
        for (const key of keys) mark(values, nameOf(key), { token, since: now() });
        return true;
      }),
    release: async (incarnation, keys, token) => {
      for (const name of keys.map(namesIn(incarnation))) release(values, name, token, now());
      return Promise.resolve();
    },
    onReset: () => undefined,
    stop: () => Promise.resolve(),
  };
}

const namesIn = (incarnation: string) => (key: string) => `${incarnation} ${key}`;

function lease(values: Values, name: string, epochs: readonly string[], { token, variant }: Lease): string | undefined {
  const found = epochs.map((epoch) => epochOf(values, epoch, token));
  const validity = validityOf(variant, found);
  const held = values.get(name);
  if (validity === undefined || (held !== undefined && !isReplaceable(held, validity))) return undefined;
  values.set(name, `?${token}`, LEASE_MS);
  return validity;
}

function epochOf(values: Values, name: string, fresh: string): string {
  const found = values.get(name);
  if (found !== undefined) return found;
  values.set(name, `#${fresh}`, EPOCH_MS);
  return `#${fresh}`;
}

function fill(values: Values, name: string, token: string, entry: string): boolean {
  if (values.get(name) !== `?${token}`) return false;
  values.set(name, entry, ENTRY_MS);
  return true;
}

function mark(values: Values, name: string, holder: Holder): void {
  values.set(name, markOf([...holdersOf(values.get(name), holder.since), holder]), MARK_MS);
}

function release(values: Values, name: string, token: string, now: number): void {
  const held = values.get(name);
  if (!isMark(held)) return;
  const holders = holdersOf(held, now).filter((holder) => holder.token !== token);
  if (holders.length === 0) values.delete(name);
  else values.replace(name, markOf(holders));
}

/** A lease may replace an entry of another validity. */
const isReplaceable = (held: string, validity: string) => held.startsWith('=') && !isEntryOf(held, validity);

interface Holder {
  readonly token: string;
  /** Milliseconds. */
  readonly since: number;
}

/** The holders of a mark that have not expired. None where the value is no mark. */
function holdersOf(value: string | undefined, now: number): Holder[] {
  if (!isMark(value)) return [];
  return value
    .slice(1)
    .split(' ')
    .map((part) => part.split('@'))
    .map(([token = '', since]) => ({ token, since: Number(since) }))
    .filter(({ since }) => now - since < MARK_MS);
}

const markOf = (holders: readonly Holder[]) => `!${holders.map(({ token, since }) => `${token}@${since}`).join(' ')}`;
