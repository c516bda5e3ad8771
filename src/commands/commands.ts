import { album, type AlbumTypes } from './album.ts';
import type { CommandOutcome } from './command.ts';
import { createHandler, type HandlerOptions, type RequestOf } from './handle.ts';
import { job, type JobTypes } from './job.ts';
import { like, type LikeTypes } from './like.ts';
import { playlist, type PlaylistTypes } from './playlist.ts';
import { song, type SongTypes } from './song.ts';

/** The write side: one handler per category of streams. */
export interface Commands {
  album(request: RequestOf<AlbumTypes>): Promise<CommandOutcome>;
  song(request: RequestOf<SongTypes>): Promise<CommandOutcome>;
  playlist(request: RequestOf<PlaylistTypes>): Promise<CommandOutcome>;
  like(request: RequestOf<LikeTypes>): Promise<CommandOutcome>;
  job(request: RequestOf<JobTypes>): Promise<CommandOutcome>;
}

export const createCommands = (options: HandlerOptions): Commands => ({
  album: createHandler(album, options),
  song: createHandler(song, options),
  playlist: createHandler(playlist, options),
  like: createHandler(like, options),
  job: createHandler(job, options),
});
