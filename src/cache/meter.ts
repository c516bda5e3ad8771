import { Counter, type Registry } from 'prom-client';

/** Why a read was not answered from the cache. */
export type MissReason =
  /** There was no entry of the current epochs. */
  | 'empty'
  /** A projector is changing it, or another reader is about to fill it. */
  | 'busy'
  /** The cache was not in use. */
  | 'off';

/** The cache's metrics. */
export interface CacheMeter {
  hit(): void;
  miss(reason: MissReason): void;
  /** An entry was not stored, because its rows were changed meanwhile. */
  refused(): void;
  /** Counts the keys that were marked for one commit. */
  marked(keys: number): void;
  /** Adds milliseconds in which this process read no cache. */
  off(ms: number): void;
}

export function createCacheMeter(registry: Registry): CacheMeter {
  const registers = [registry];
  const hits = new Counter({ name: 'openmusic_cache_hits_total', help: 'Reads answered from the cache.', registers });
  const misses = new Counter({
    name: 'openmusic_cache_misses_total',
    help: 'Reads answered from the database, by why.',
    registers,
    labelNames: ['reason'],
  });
  const refused = new Counter({
    name: 'openmusic_cache_refused_fills_total',
    help: 'Entries that were out of date when they came.',
    registers,
  });
  const marks = new Counter({ name: 'openmusic_cache_marks_total', help: 'Keys marked before a commit.', registers });
  const off = new Counter({
    name: 'openmusic_cache_off_seconds_total',
    help: 'Time in which this process read no cache.',
    registers,
  });
  return {
    hit: () => hits.inc(),
    miss: (reason) => misses.inc({ reason }),
    refused: () => refused.inc(),
    marked: (keys) => marks.inc(keys),
    off: (ms) => off.inc(ms / 1_000),
  };
}
