import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { songNotFound } from '../../commands/song.ts';
import type { SongDetails } from '../../events/catalog.ts';
import { idFromCommand } from '../../events/ids.ts';
import { cached } from '../../projections/engine/cache-keys.ts';
import { albumExists } from '../../projections/albums.ts';
import { findSong, searchSongs, type SongSummary } from '../../projections/songs.ts';
import { catalogAccess } from '../access.ts';
import { conditionally, expectedVersion, sendAnswer, tagged } from '../etag.ts';
import { inPieces } from '../long-answers.ts';
import { answer, failures } from '../openapi.ts';
import { markReplay, originOf } from '../origin.ts';
import { cursorQuery, limitQuery, nextCursor, pageOf } from '../paging.ts';
import { opaqueId } from '../../text.ts';
import { isStreamId, streamIds } from '../stream-ids.ts';
import {
  changeHeaders,
  done,
  integer,
  params,
  readHeaders,
  shortText,
  success,
  text,
  writeHeaders,
  songSummary,
} from '../schemas.ts';
import type { CatalogDependencies } from './albums/albums.ts';

const songBody = z
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

/** The type checker is not told: the list is sent in pieces. */
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
const schemas = {
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

const toDetails = ({ duration, albumId, ...rest }: z.infer<typeof songBody>): SongDetails => ({
  ...rest,
  duration: duration ?? null,
  albumId: albumId ?? null,
});

const streamOf = streamIds('song', songNotFound);

export const songRoutes =
  (deps: CatalogDependencies): FastifyPluginCallbackZod =>
  (app, _options, registered) => {
    const { commands, database, listsOf, idempotencyKeys, answers } = deps;
    const { onRequest, mustBeAllowed } = catalogAccess(deps.catalogWrites);

    const represent = async (id: string) => {
      const view = await findSong(database, id);
      return view && tagged(view.version, { status: 'success', data: { song: view.song } });
    };

    const mustExist = (id: string) => async () => {
      if (!(await represent(id))) throw songNotFound();
    };

    /** Whether the album exists is read when the command is decided, and again when it is decided again. */
    const contextOf =
      ({ albumId }: SongDetails) =>
      async () => ({ albumExists: albumId === null || (await albumExists(database, albumId)) });
    const noContext = () => Promise.resolve({ albumExists: true });

    app.post('/songs', { schema: schemas.create, onRequest }, async (request, reply) => {
      await mustBeAllowed(request);
      const origin = originOf(request, idempotencyKeys, request.body);
      const songId = idFromCommand('song', origin.commandId);
      const details = toDetails(request.body);
      const command = { type: 'CreateSong', details } as const;
      markReplay(reply, await commands.song({ stream: songId, command, origin, context: contextOf(details) }));
      return reply.code(201).send({ status: 'success', data: { songId } });
    });

    app.get('/songs', { schema: schemas.search }, async (request, reply) => {
      const { limit, cursor: after, ...filters } = request.query;
      const isPage = limit !== undefined || after !== undefined;
      const page = isPage ? pageOf<SongSummary>(({ id }) => id, limit) : undefined;
      const list = searchSongs(listsOf(reply), { ...filters, after });
      return reply.sendInPieces(inPieces({ content: { status: 'success', data: { songs: [] } }, list, page }));
    });

    app.get('/songs/:id', { schema: schemas.read }, async (request, reply) => {
      const id = streamOf(request.params.id);
      const { answer: found } = await answers.read(cached.song(id), () => represent(id));
      if (!found) throw songNotFound();
      return sendAnswer(request, reply, found);
    });

    app.put('/songs/:id', { schema: schemas.change, onRequest }, async (request, reply) => {
      const stream = streamOf(request.params.id);
      await mustBeAllowed(request, mustExist(stream));
      const details = toDetails(request.body);
      const command = { type: 'ChangeSong', details } as const;
      const origin = originOf(request, idempotencyKeys, request.body);
      const condition = { expectedVersion: expectedVersion(request), context: contextOf(details) };
      const sent = commands.song({ stream, command, origin, ...condition });
      markReplay(reply, await conditionally(reply, sent, () => represent(stream)));
      return { status: 'success' as const, message: 'The song was changed.' };
    });

    app.delete('/songs/:id', { schema: schemas.remove, onRequest }, async (request, reply) => {
      const stream = streamOf(request.params.id);
      await mustBeAllowed(request, mustExist(stream));
      const command = { type: 'DeleteSong' } as const;
      const origin = originOf(request, idempotencyKeys);
      const condition = { expectedVersion: expectedVersion(request), context: noContext };
      const sent = commands.song({ stream, command, origin, ...condition });
      markReplay(reply, await conditionally(reply, sent, () => represent(stream)));
      return { status: 'success' as const, message: 'The song was deleted.' };
    });

    registered();
  };
