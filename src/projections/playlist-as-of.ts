import { eventsBeforeOffsets, eventsUntil, type StreamEvent } from '../event-store/stream-events.ts';
import { decodeEvent } from '../events/codec.ts';
import { evolveEntries, noEntries } from '../events/entry-list.ts';
import type { AnyEvent } from '../events/events.ts';
import type { Database } from '../postgres/pool.ts';
import type { SongSummary } from './songs.ts';

/** A position of a playlist, and of the catalog, which gives its songs their titles. */
export interface PlaylistPosition {
  readonly playlistId: string;
  /** Version of the playlist's stream. */
  readonly version: number;
  /** Next offset of each partition of the catalog. */
  readonly catalog: readonly number[];
}

export interface ExportedPlaylist {
  readonly id: string;
  readonly name: string;
  /** In playlist order. */
  readonly songs: readonly SongSummary[];
}

export interface OwnedPosition extends PlaylistPosition {
  readonly ownerId: string;
}

/** The current position of each of these playlists, and its owner; undefined for a playlist that does not exist. */
export async function currentPositions(
  database: Database,
  playlistIds: readonly string[],
  catalogTopic: string,
): Promise<(OwnedPosition | undefined)[]> {
  const rows = await database.query<OwnedPosition>({
    name: 'current-positions',
    text: `SELECT p.id AS "playlistId", p.version, p.owner_id AS "ownerId", c.catalog
      FROM playlists p CROSS JOIN (SELECT json_agg(next ORDER BY partition) AS catalog FROM checkpoints WHERE topic = $2) c
      WHERE p.id = ANY($1) AND p.deleted_at IS NULL`,
    values: [[...new Set(playlistIds)], catalogTopic],
  });
  const positions = new Map(rows.map((position) => [position.playlistId, position]));
  return playlistIds.map((id) => positions.get(id));
}

/** The playlist at that position, folded from its events and those of its songs; undefined when an event is missing. */
export async function playlistAsOf(
  database: Database,
  moment: PlaylistPosition,
): Promise<ExportedPlaylist | undefined> {
  const { playlistId: id, version, catalog } = moment;
  const rows = await eventsUntil(database, id, version);
  if (rows.length < version) return undefined;
  const { name, songIds } = foldPlaylist(rows.map(eventOf));
  const songs = await songsAt(database, songIds, catalog);
  return { id, name, songs: songIds.flatMap((songId) => songs.get(songId) ?? []) };
}

const eventOf = ({ type, value }: StreamEvent): AnyEvent => decodeEvent(type, value);

function foldPlaylist(events: readonly AnyEvent[]): { name: string; songIds: readonly string[] } {
  let name = '';
  let entries = noEntries;
  for (const event of events) {
    if (!('playlistId' in event)) continue;
    if ('name' in event) name = event.name;
    entries = evolveEntries(entries, event);
  }
  return { name, songIds: entries.present.map(({ songId }) => songId) };
}

/** Songs by id, as the catalog had them at these ends of its partitions. */
async function songsAt(database: Database, songIds: readonly string[], catalog: readonly number[]) {
  const rows = await eventsBeforeOffsets(database, [...new Set(songIds)], catalog);
  const songs = new Map<string, SongSummary>();
  for (const row of rows) {
    const event = eventOf(row);
    if (event.type === 'SongDeleted') songs.delete(row.stream);
    else if (event.type === 'SongCreated' || event.type === 'SongChanged') {
      songs.set(row.stream, { id: row.stream, title: event.title, performer: event.performer });
    }
  }
  return songs;
}
