import type { CacheServer } from '../../../src/cache/cache.ts';

/** Creates the contents of a server. */
export type Contents = (now: () => number) => CacheServer;

type Operation = (cache: CacheServer) => unknown;

/** A server that can be wiped, and that can be replaced by another one with an outdated copy. */
export class ModelRedis {
  readonly runId: string;
  readonly #now: () => number;
  readonly #contents: Contents;
  #cache: CacheServer;
  #history: { readonly at: number; readonly operation: Operation }[] = [];

  constructor(runId: string, now: () => number, contents: Contents) {
    this.runId = runId;
    this.#now = now;
    this.#contents = contents;
    this.#cache = contents(now);
  }

  /** The contents of the server; every call takes effect at once. */
  do<T>(operation: (cache: CacheServer) => T): T {
    this.#history.push({ at: this.#now(), operation });
    return operation(this.#cache);
  }

  wipe(): void {
    this.#cache = this.#contents(this.#now);
    this.#history = [];
  }

  /** Another server, with everything that this one did up to some time ago. */
  replacement(runId: string, share: number): ModelRedis {
    let at = 0;
    let replaying = true;
    const replacement = new ModelRedis(runId, this.#now, this.#contents);
    const cache = this.#contents(() => (replaying ? at : this.#now()));
    replacement.#history = this.#history.slice(0, Math.ceil(this.#history.length * share));
    for (const { at: when, operation } of replacement.#history) {
      at = when;
      void operation(cache);
    }
    replaying = false;
    replacement.#cache = cache;
    return replacement;
  }
}
