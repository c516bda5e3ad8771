import { album, type AlbumCommand } from './album.ts';
import type { CommandOutcome, CommandRequest } from './command.ts';
import { createHandler, type HandlerOptions } from './handle.ts';
import { job, type JobCommand, type JobContext } from './job.ts';
import { like, type LikeCommand, type LikeContext } from './like.ts';
import { playlist, type PlaylistCommand, type PlaylistContext } from './playlist.ts';
import { song, type SongCommand, type SongContext } from './song.ts';

/** The write side: one entry per category of streams. */
export interface Commands {
  album(request: CommandRequest<AlbumCommand>): Promise<CommandOutcome>;
  song(request: CommandRequest<SongCommand, SongContext>): Promise<CommandOutcome>;
  playlist(request: CommandRequest<PlaylistCommand, PlaylistContext>): Promise<CommandOutcome>;
  like(request: CommandRequest<LikeCommand, LikeContext>): Promise<CommandOutcome>;
  job(request: CommandRequest<JobCommand, JobContext | undefined>): Promise<CommandOutcome>;
}

export const createCommands = (options: HandlerOptions): Commands => ({
  album: createHandler(album, options),
  song: createHandler(song, options),
  playlist: createHandler(playlist, options),
  like: createHandler(like, options),
  job: createHandler(job, options),
});
