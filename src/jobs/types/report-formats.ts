import { csvLine } from '../csv.ts';
import type { PlaylistSong, Share, Snapshot } from './report-snapshot.ts';

/** Writes a report in pieces. */
export interface ReportFormat {
  readonly mediaType: string;
  pieces(snapshot: Snapshot): AsyncGenerator<string, void>;
}

export const REPORT_FORMATS: Readonly<Record<'json' | 'csv', ReportFormat>> = {
  json: { mediaType: 'application/json', pieces: jsonPieces },
  csv: { mediaType: 'text/csv; charset=utf-8', pieces: csvPieces },
};

/** Without a byte order mark Excel reads UTF-8 in the code page of its computer. */
const BYTE_ORDER_MARK = '\ufeff';

async function* jsonPieces({ catalog, playlists }: Snapshot): AsyncGenerator<string, void> {
  yield `{"report":{"catalog":${JSON.stringify(catalog)},"playlists":[`;
  let last: string | undefined;
  for await (const rows of playlists) {
    let piece = '';
    for (const row of rows) {
      const begins = row.playlistId !== last;
      if (begins && last !== undefined) piece += ']},';
      if (begins) piece += beginningOf(row);
      else piece += ',';
      piece += songOf(row);
      last = row.playlistId;
    }
    yield piece;
  }
  yield last === undefined ? ']}}' : ']}]}}';
}

const beginningOf = ({ playlistId: id, playlist: name, songs: songCount, collaborators }: PlaylistSong) =>
  `${JSON.stringify({ id, name, songCount, collaborators }).slice(0, -1)},"songs":[`;

const songOf = ({ position, songId: id, title, performer }: PlaylistSong) =>
  position === null ? '' : JSON.stringify({ id, title, performer });

const COLUMNS = ['section', 'playlist', 'position', 'id', 'name', 'performer', 'count', 'collaborators'] as const;

type CsvRow = Partial<Record<(typeof COLUMNS)[number], string | number>>;

const lineOf = (row: CsvRow) => csvLine(COLUMNS.map((column) => row[column] ?? null));

async function* csvPieces({ catalog, playlists }: Snapshot): AsyncGenerator<string, void> {
  const shares = (section: string, all: readonly Share<string | number>[]) =>
    all.map(({ name, songs: count }) => lineOf({ section, name, count })).join('');
  yield BYTE_ORDER_MARK + csvLine(COLUMNS) + lineOf({ section: 'albums', count: catalog.albums });
  yield lineOf({ section: 'songs', count: catalog.songs }) + shares('genre', catalog.genres);
  yield shares('year', catalog.years) + shares('performer', catalog.performers);
  let last: string | undefined;
  for await (const rows of playlists) {
    let piece = '';
    for (const row of rows) {
      if (row.playlistId !== last) piece += playlistLine(row);
      piece += songLine(row);
      last = row.playlistId;
    }
    yield piece;
  }
}

const playlistLine = ({ playlistId: id, playlist: name, songs: count, collaborators }: PlaylistSong) =>
  lineOf({ section: 'playlist', id, name, count, collaborators });

const songLine = ({ playlistId: playlist, position, songId: id, title: name, performer }: PlaylistSong) =>
  position === null ? '' : lineOf({ section: 'playlist-song', playlist, position, id, name, performer });
