import type { CacheServer } from './cache.ts';

const nothing = () => Promise.reject(new Error('none is configured'));

/** Where no cache is configured: nothing is ever read from it, and a projector that meets a cache of others turns it off. */
export const noCache: CacheServer = {
  identify: nothing,
  begin: nothing,
  read: nothing,
  lease: nothing,
  fill: nothing,
  mark: nothing,
  release: nothing,
  onReset: () => undefined,
  stop: () => Promise.resolve(),
};
