/** A counter in the form that `@fastify/rate-limit` expects. `ttl` in milliseconds. */
interface Count {
  current: number;
  ttl: number;
}

interface Counter {
  current: number;
  readonly endsAt: number;
}

type Callback = (error: Error | null, result?: Count) => void;

/** Largest share of blocked senders among the counters. With blocked senders only, no new sender could be counted. */
const BLOCKED_SHARE = 0.9;
/** Counters of one limit. */
const CAPACITY = 10_000;

/**
 * The store of `@fastify/rate-limit` for a process without Redis, with a fixed capacity. Expired counters are evicted first and those
 * of blocked senders last: in the package's own store requests from 5,300 other addresses evicted a blocked sender.
 */
export class LocalCounters {
  readonly #open = new Map<string, Counter>();
  readonly #blocked = new Map<string, Counter>();
  readonly #capacity: number;

  constructor({ capacity = CAPACITY }: { capacity?: number } = {}) {
    this.#capacity = capacity;
  }

  incr(key: string, done: Callback, timeWindow: number, max: number): void {
    const now = Date.now();
    const before = this.#find(key, now);
    const counter = { current: (before?.current ?? 0) + 1, endsAt: before?.endsAt ?? now + timeWindow };
    this.#forget(key);
    (counter.current >= max ? this.#blocked : this.#open).set(key, counter);
    this.#makeRoom(now);
    done(null, { current: counter.current, ttl: counter.endsAt - now });
  }

  read(key: string, done: Callback): void {
    const now = Date.now();
    const counter = this.#find(key, now);
    done(null, counter ? { current: counter.current, ttl: counter.endsAt - now } : { current: 0, ttl: 0 });
  }

  child(): LocalCounters {
    return new LocalCounters({ capacity: this.#capacity });
  }

  #find(key: string, now: number): Counter | undefined {
    const counter = this.#blocked.get(key) ?? this.#open.get(key);
    return counter && counter.endsAt > now ? counter : undefined;
  }

  #forget(key: string): void {
    this.#open.delete(key);
    this.#blocked.delete(key);
  }

  /** Maps keep insertion order, so the first key was counted longest ago. */
  #makeRoom(now: number): void {
    if (this.#open.size + this.#blocked.size <= this.#capacity) return;
    const [blocked] = this.#blocked;
    const [open] = this.#open;
    const isFull = this.#blocked.size > BLOCKED_SHARE * this.#capacity;
    const leaving = blocked && (isFull || blocked[1].endsAt <= now) ? blocked : open;
    if (leaving) this.#forget(leaving[0]);
  }
}
