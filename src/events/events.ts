import type { AlbumEvent, SongEvent } from './catalog.ts';
import type { OwnerChanged, PartitionOpened } from './genesis.ts';
import type { JobEvent } from './jobs.ts';
import type { LikeEvent } from './likes.ts';
import type { PlaylistEvent } from './playlists.ts';

/** Every event there is. `type` is the short name; on the log it is `openmusic.<type>`. */
export type AnyEvent = AlbumEvent | SongEvent | PlaylistEvent | LikeEvent | JobEvent | PartitionOpened | OwnerChanged;
