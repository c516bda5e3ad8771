import { readFileSync } from 'node:fs';
import { schemaVersions, typeOf } from '../../src/events/codec.ts';

/** The parts of Avro's schemas that are used. */
type Schema = string | Named | readonly Schema[];
interface Named {
  readonly type: Schema;
  readonly name?: string;
  readonly doc?: string;
  readonly logicalType?: string;
  readonly items?: Schema;
  readonly fields?: readonly (Named & { readonly name: string })[];
}

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

interface Row {
  readonly path: string;
  readonly type: string;
  readonly doc: string;
}

/** The tables of all events for docs/reference/log-format.md. */
export const eventTables = (): string => SECTIONS.map(sectionOf).join('\n');

function sectionOf({ title, events }: Section): string {
  const schemas = events.map((event) => [event, newest(event)] as const);
  const meanings = schemas.map(([event, { doc = '' }]) => [`\`${event}\``, textOf(doc)]);
  const rows = schemas.flatMap(([event, schema]) => fieldsOf(schema, '').map((row) => [event, row] as const));
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

function newest(event: string): Named {
  const versions = schemaVersions.filter(({ subject }) => typeOf(subject) === event).map(({ version }) => version);
  const file = new URL(`../../schemas/${event}.v${Math.max(...versions)}.avsc`, import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8')) as Named;
}

const fieldsOf = ({ fields = [] }: Named, before: string): Row[] =>
  fields.flatMap(({ name, type, doc = '' }) => {
    const path = before + name;
    return [{ path, type: nameOf(type), doc }, ...insideOf(type, path)];
  });

/** The fields of the records that a field contains. */
function insideOf(type: Schema, path: string): Row[] {
  if (typeof type === 'string') return [];
  if (isUnion(type)) return type.flatMap((branch) => insideOf(branch, path));
  if (type.items !== undefined) return insideOf(type.items, `${path}[]`);
  return fieldsOf(type, `${path}.`);
}

function nameOf(type: Schema): string {
  if (typeof type === 'string') return type;
  if (isUnion(type)) return [...type.filter((branch) => branch !== 'null').map(nameOf), 'null'].join(' or ');
  if (type.items !== undefined) return `list of ${nameOf(type.items)}`;
  return type.logicalType === undefined ? (type.name ?? nameOf(type.type)) : 'time';
}

const isUnion = (type: Schema): type is readonly Schema[] => Array.isArray(type);
