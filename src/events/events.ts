import type { AlbumEvent, SongEvent } from './catalog.ts';
import type { PartitionOpened } from './genesis.ts';

/** Every event there is. `type` is the short name; on the log it is `openmusic.<type>`. */
export type AnyEvent = AlbumEvent | SongEvent | PartitionOpened;
