import type { CacheServer } from './cache.ts';

const refuse = () => Promise.reject(new Error('none is configured'));

/** For processes without a configured cache. They read nothing from it, and a projector turns off a cache that other processes use. */
export const noCache: CacheServer = {
  identify: refuse,
  begin: refuse,
  read: refuse,
  lease: refuse,
  fill: refuse,
  mark: refuse,
  release: refuse,
  onReset: () => undefined,
  stop: () => Promise.resolve(),
};
