import type { AlbumDetails, SongDetails } from '../../events/catalog.ts';
import { commandIdOf, idFromCommand } from '../../events/ids.ts';
import { fold } from '../../text.ts';
import { type Details, detailsOf } from './import-details.ts';
import type { Line } from './import-lines.ts';

/** What to do for a line. */
export type ImportEntry =
  | {
      readonly kind: 'album';
      readonly line: number;
      /** The same in each attempt. */
      readonly commandId: string;
      readonly details: AlbumDetails;
      /** Call it once the album was imported or refused. */
      readonly settle: () => void;
    }
  | {
      readonly kind: 'song';
      readonly line: number;
      readonly commandId: string;
      readonly details: SongDetails;
      /** Resolves when the song's album, of a line above, was imported or refused. */
      readonly album: Promise<void> | undefined;
    }
  | { readonly kind: 'bad'; readonly line: number; readonly fault: string };

interface NamedAlbum {
  readonly id: string;
  readonly settled: Promise<void>;
}

/** The albums of the lines above, by name. */
interface NamedAlbums {
  add(name: string, album: NamedAlbum): void;
  /** The last album with this very spelling, or else the last whose name is equal when case and encoding are ignored. */
  find(name: string): NamedAlbum | undefined;
}

function namedAlbums(): NamedAlbums {
  const [spelled, folded] = [new Map<string, NamedAlbum>(), new Map<string, NamedAlbum>()];
  return {
    add(name, album) {
      spelled.set(name, album);
      folded.set(fold(name), album);
    },
    find: (name) => spelled.get(name) ?? folded.get(fold(name)),
  };
}

const ALBUM_ID = /^album-[0-9a-f]{32}$/;

/** The entry for each line of a job. Songs find the albums of the lines above by their names. */
export async function* entriesOf(jobId: string, lines: AsyncIterable<Line>): AsyncGenerator<ImportEntry, void> {
  const albums = namedAlbums();
  for await (const line of lines) {
    const details = 'fault' in line ? line.fault : detailsOf(line.value);
    yield typeof details === 'string'
      ? { kind: 'bad', line: line.number, fault: details }
      : entryOf(details, line.number, commandIdOf(jobId, String(line.number)), albums);
  }
}

function entryOf(entry: Details, line: number, commandId: string, albums: NamedAlbums): ImportEntry {
  if (entry.kind === 'album') {
    const { name, year } = entry;
    const { promise: settled, resolve: settle } = Promise.withResolvers<void>();
    albums.add(name, { id: idFromCommand('album', commandId), settled });
    return { kind: 'album', line, commandId, details: { name, year }, settle };
  }
  const { title, year, genre, performer, duration = null, album: named } = entry;
  const details = { title, year, genre, performer, duration };
  if (named === undefined || ALBUM_ID.test(named))
    return { kind: 'song', line, commandId, details: { ...details, albumId: named ?? null }, album: undefined };
  const album = albums.find(named);
  if (!album) return { kind: 'bad', line, fault: 'album is neither an id nor the name of an album in the lines above' };
  return { kind: 'song', line, commandId, details: { ...details, albumId: album.id }, album: album.settled };
}
