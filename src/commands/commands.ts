import { album, type AlbumCommand } from './album.ts';
import type { CommandOutcome, CommandRequest } from './command.ts';
import { createHandler, type HandlerOptions } from './handle.ts';
import { song, type SongCommand, type SongContext } from './song.ts';

/** The write side: one entry per category of streams. */
export interface Commands {
  album(request: CommandRequest<AlbumCommand>): Promise<CommandOutcome>;
  song(request: CommandRequest<SongCommand, SongContext>): Promise<CommandOutcome>;
}

export const createCommands = (options: HandlerOptions): Commands => ({
  album: createHandler(album, options),
  song: createHandler(song, options),
});
