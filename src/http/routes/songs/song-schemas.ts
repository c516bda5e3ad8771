import { z } from 'zod';
import { opaqueId } from '../../../text.ts';
import { answer, failures } from '../../openapi.ts';
import { cursorQuery, limitQuery, nextCursor } from '../../paging.ts';
import {
  changeHeaders,
  done,
  integer,
  params,
  readHeaders,
  shortText,
  songSummary,
  success,
  text,
  writeHeaders,
} from '../../schemas.ts';
import { isStreamId } from '../../stream-ids.ts';

export const songBody = z
  .strictObject({
    title: text('Title of the song.', 'Life in Technicolor'),
    year: integer('Year of release.', 2008),
    genre: text('Genre.', 'Indie'),
    performer: text('Performer.', 'Coldplay'),
    duration: integer('Seconds.', 120).optional(),
    albumId: opaqueId().optional().meta({ description: 'The album it is on; an unknown one is 404.' }),
  })
  .meta({ id: 'SongDetails' });

const songView = songSummary
  .extend({
    year: z.int(),
    genre: z.string(),
    duration: z.int().nullable(),
    albumId: z.string().nullable(),
  })
  .meta({ id: 'Song' });

const filter = (field: string) =>
  shortText()
    .optional()
    .meta({
      description: `Part of the ${field}, in upper or lower case and in any encoding of its letters. Empty: any.`,
    });

const searchQuery = z.object({
  title: filter('title'),
  performer: filter('performer'),
  limit: limitQuery,
  cursor: cursorQuery((id) => (isStreamId('song', id) ? id : undefined)),
});

/** Typed as unknown, because the handler sends the list in pieces and returns no value of this schema. */
const searchAnswers: unknown = {
  200: answer(
    'The songs that match every filter.',
    success(
      z.strictObject({
        songs: z.array(songSummary),
        nextCursor: nextCursor.optional().meta({ description: 'Only of a page; null on the last one.' }),
      }),
    ),
  ),
  ...failures(400, 503),
};

const tags = ['songs'];
export const schemas = {
  create: {
    tags,
    operationId: 'createSong',
    summary: 'Create a song',
    headers: writeHeaders,
    body: songBody,
    response: {
      201: answer('Created.', success(z.strictObject({ songId: z.string() })), ['idempotency-replayed']),
      ...failures(400, 401, 404, 409, 413, 415, 422, 503),
    },
  },
  search: {
    tags,
    operationId: 'searchSongs',
    summary: 'List or search songs',
    description:
      'The whole catalog, ordered by id; a long one is sent as it is read, and a song that was there all the while is in it once. With `limit` or `cursor` one page and its `nextCursor`. ' +
      'Texts are compared by Unicode’s rules (NFKC, full case folding): `STRASSE` finds Straße, `οδυσσευς` ΟΔΥΣΣΕΥΣ, and `Noël` finds it whether its ë is one character or two. `Noel` does not.',
    querystring: searchQuery,
    response: searchAnswers,
  },
  read: {
    tags,
    operationId: 'readSong',
    summary: 'Read a song',
    headers: readHeaders,
    params,
    response: {
      200: answer('The song.', success(z.strictObject({ song: songView })), ['etag']),
      304: z.null().meta({ description: 'The client has it already.' }),
      ...failures(404, 503),
    },
  },
  change: {
    tags,
    operationId: 'changeSong',
    summary: 'Change a song',
    description: 'The song becomes exactly what is sent: without `duration` it has none, without `albumId` no album.',
    headers: changeHeaders,
    params,
    body: songBody,
    response: {
      200: answer('Changed.', done('The song was changed.'), ['idempotency-replayed']),
      ...failures(400, 401, 404, 409, 412, 413, 415, 422, 503),
    },
  },
  remove: {
    tags,
    operationId: 'deleteSong',
    summary: 'Delete a song',
    headers: changeHeaders,
    params,
    response: {
      200: answer('Deleted.', done('The song was deleted.'), ['idempotency-replayed']),
      ...failures(400, 401, 404, 409, 412, 422, 503),
    },
  },
};
