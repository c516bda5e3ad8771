import { releasedSchemas, typeOf } from '../../src/events/codec.ts';
import { type AvroDefinition, definitionOf, fieldsOf } from '../../src/http/routes/event-docs/schema-fields.ts';

interface Section {
  readonly title: string;
  /** In the order of explanation. */
  readonly events: readonly string[];
}

/** Every event must be in one of them. */
export const SECTIONS: readonly Section[] = [
  {
    title: 'Albums, in `openmusic.catalog`',
    events: ['AlbumCreated', 'AlbumChanged', 'AlbumCoverChanged', 'AlbumDeleted'],
  },
  { title: 'Songs, in `openmusic.catalog`', events: ['SongCreated', 'SongChanged', 'SongDeleted'] },
  {
    title: 'Playlists, in `openmusic.playlists`',
    events: [
      ...['PlaylistCreated', 'PlaylistChanged', 'PlaylistDeleted', 'PlaylistUndeleted', 'SongsAddedToPlaylist'],
      ...['SongsMovedInPlaylist', 'SongRemovedFromPlaylist', 'PlaylistRestored', 'CollaboratorAdded'],
      'CollaboratorRemoved',
    ],
  },
  { title: 'Likes, in `openmusic.likes`', events: ['AlbumLiked', 'AlbumUnliked', 'SongLiked', 'SongUnliked'] },
  {
    title: 'Jobs, in `openmusic.jobs`',
    events: [
      ...['JobRequested', 'JobAttemptStarted', 'JobAttemptFailed', 'JobProgressed', 'JobCompleted', 'JobDied'],
      ...['JobCancelled', 'JobRetried', 'JobOccurred', 'JobRepeatChanged', 'DeadLetterDropped'],
    ],
  },
  { title: 'Genesis, in each of these topics', events: ['PartitionOpened', 'OwnerChanged'] },
  { title: 'Voids, in `openmusic.voids`', events: ['PositionVoided'] },
];

/** The tables of all events for docs/reference/log-format.md. */
export const eventTables = (): string => SECTIONS.map(sectionOf).join('\n');

function sectionOf({ title, events }: Section): string {
  const schemas = events.map((event) => [event, newest(event)] as const);
  const meanings = schemas.map(([event, { doc = '' }]) => [`\`${event}\``, textOf(doc)]);
  const rows = schemas.flatMap(([event, schema]) => fieldsOf(schema).map((row) => [event, row] as const));
  const same = Map.groupBy(rows, ([, { path, type, doc }]) => JSON.stringify([path, type, doc]));
  const fields = [...same.values()].map((alike) => {
    const [, { path, type, doc } = { path: '', type: '', doc: '' }] = alike[0] ?? [];
    const where = alike.length === events.length ? 'all' : alike.map(([event]) => `\`${event}\``).join(', ');
    return [`\`${path}\``, where, type, textOf(doc)];
  });
  return [
    `### ${title}`,
    table(['event', 'meaning'], meanings),
    table(['field', 'in', 'type', 'meaning'], fields),
  ].join('\n\n');
}

const table = (head: readonly string[], rows: readonly (readonly string[])[]) =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n') + '\n';

/** Text in angle brackets would be read as HTML. */
const textOf = (doc: string) => doc.replaceAll(/<[^>]+>/g, (part) => `\`${part}\``).replaceAll('|', '\\|');

function newest(event: string): AvroDefinition {
  const versions = releasedSchemas.filter(({ subject }) => typeOf(subject) === event);
  const [schema] = versions.toSorted((one, other) => other.version - one.version);
  if (!schema) throw new Error(`There is no schema of ${event}.`);
  return definitionOf(schema);
}
