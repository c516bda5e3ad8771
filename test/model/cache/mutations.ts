import type { CacheServer } from '../../../src/cache/cache.ts';
import { createMemoryCache } from '../../../src/cache/memory.ts';
import { type Mutation, unchanged, type World } from './world.ts';

const serverThat = (change: (server: CacheServer, world: World) => Partial<CacheServer>): Mutation => ({
  ...unchanged,
  server: (server, world) => ({ ...server, ...change(server, world) }),
});

export const withoutRow: Mutation = { ...unchanged, rowChecked: false };
export const withOldMarks: Mutation = { ...unchanged, ageChecked: false };
export const withoutSettling: Mutation = { ...unchanged, settles: false };

/** Cached entries are removed only after the commit. */
export const withMarksAfterCommit = serverThat((server) => ({
  mark: () => Promise.resolve(true),
  async release(incarnation, keys, token) {
    await server.mark(incarnation, keys, token);
    await server.release(incarnation, keys, token);
  },
}));

export const withoutEpochs = serverThat((server) => ({
  mark: (incarnation, keys, token) =>
    server.mark(
      incarnation,
      keys.filter((key) => key.includes('/')),
      token,
    ),
  release: (incarnation, keys, token) =>
    server.release(
      incarnation,
      keys.filter((key) => key.includes('/')),
      token,
    ),
}));

export const withoutRunId = serverThat((server, world) => ({
  identify: async () => ({ ...(await server.identify()), runId: world.row.runId || 'any' }),
}));

const contentsThat = (change: (cache: CacheServer, world: () => World) => Partial<CacheServer>): Mutation => ({
  ...unchanged,
  contents: (now, world) => {
    const cache = createMemoryCache({ now });
    return { ...cache, ...change(cache, world) };
  },
});

/** A batch that sets marks removes those of other batches. */
export const withSingleBatchMarks = contentsThat((cache) => {
  const holders = new Set<string>();
  return {
    async mark(incarnation, keys, token) {
      for (const holder of holders) void cache.release(incarnation, keys, holder);
      holders.add(token);
      return cache.mark(incarnation, keys, token);
    },
  };
});

/** A read result is stored over anything but a mark. */
export const withoutLeases = contentsThat((cache) => ({
  async fill(incarnation, key, token, entry) {
    const [value] = (await cache.read(incarnation, [key])) ?? [];
    if (value?.startsWith('!')) return false;
    const empty = `${token}-empties`;
    void cache.mark(incarnation, [key], empty);
    void cache.release(incarnation, [key], empty);
    void cache.lease(incarnation, { key, epochs: [] }, { token, variant: '' });
    return cache.fill(incarnation, key, token, entry);
  },
}));

/** Every incarnation is assumed to be the one of the server. */
export const withoutIncarnationKey: Mutation = {
  ...unchanged,
  contents(now, world) {
    const caches = new Map<string, CacheServer>();
    const of = (incarnation: string): CacheServer => {
      const cache = caches.get(incarnation) ?? createMemoryCache({ now });
      if (!caches.has(incarnation)) void cache.begin(incarnation);
      caches.set(incarnation, cache);
      return cache;
    };
    return {
      ...createMemoryCache({ now }),
      identify: () => Promise.resolve({ runId: '', incarnation: world().row.id }),
      begin: () => Promise.resolve(),
      read: (incarnation, ...rest) => of(incarnation).read(incarnation, ...rest),
      lease: (incarnation, ...rest) => of(incarnation).lease(incarnation, ...rest),
      fill: (incarnation, ...rest) => of(incarnation).fill(incarnation, ...rest),
      mark: (incarnation, ...rest) => of(incarnation).mark(incarnation, ...rest),
      release: (incarnation, ...rest) => of(incarnation).release(incarnation, ...rest),
    };
  },
};
