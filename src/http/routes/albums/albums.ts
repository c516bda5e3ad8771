import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { ResponseCache } from '../../../cache/response-cache.ts';
import { albumNotFound } from '../../../commands/album.ts';
import type { Commands } from '../../../commands/commands.ts';
import { idFromCommand } from '../../../events/ids.ts';
import { albumExists, findAlbum, songsOfAlbum } from '../../../projections/albums.ts';
import { cached } from '../../../projections/engine/cache-keys.ts';
import type { Database } from '../../../postgres/pool.ts';
import { catalogAccess, type CatalogWrites } from '../../access.ts';
import { conditionally, expectedVersion } from '../../etag.ts';
import { listAnswer, type ListsOf, LONG_ETAG, sendListed } from '../../long-answers.ts';
import { answer, failures } from '../../openapi.ts';
import { markReplay, originOf, type IdempotencyKeys } from '../../origin.ts';
import { streamIds } from '../../stream-ids.ts';
import {
  changeHeaders,
  done,
  integer,
  params,
  readHeaders,
  songSummary,
  success,
  text,
  writeHeaders,
} from '../../schemas.ts';

export interface CatalogDependencies {
  readonly commands: Commands;
  readonly database: Database;
  readonly listsOf: ListsOf;
  readonly answers: ResponseCache;
  /** Base of every URL in an answer. */
  readonly publicUrl: string;
  readonly idempotencyKeys: IdempotencyKeys;
  readonly catalogWrites: CatalogWrites;
}

const albumBody = z
  .strictObject({ name: text('Name of the album.', 'Viva la Vida'), year: integer('Year of release.', 2008) })
  .meta({ id: 'AlbumDetails' });

const albumView = z
  .strictObject({
    id: z.string().meta({ examples: ['album-01999d3e8f5c7a40b2f10c9a4e6d1b77'] }),
    name: z.string(),
    year: z.int(),
    coverUrl: z
      .string()
      .nullable()
      .meta({ description: 'Null until there is a cover. Valid until the cover is changed or the album is deleted.' }),
    songs: z.array(songSummary),
  })
  .meta({ id: 'Album' });

const tags = ['albums'];
const schemas = {
  create: {
    tags,
    operationId: 'createAlbum',
    summary: 'Create an album',
    headers: writeHeaders,
    body: albumBody,
    response: {
      201: answer('Created.', success(z.strictObject({ albumId: z.string() })), ['idempotency-replayed']),
      ...failures(400, 401, 409, 413, 415, 422, 503),
    },
  },
  read: {
    tags,
    operationId: 'readAlbum',
    summary: 'Read an album with its songs',
    description: LONG_ETAG,
    headers: readHeaders,
    params,
    response: {
      200: answer('The album.', success(z.strictObject({ album: albumView })), ['etag']),
      304: z.null().meta({ description: 'The client has it already.' }),
      ...failures(404, 503),
    },
  },
  change: {
    tags,
    operationId: 'changeAlbum',
    summary: 'Change an album',
    headers: changeHeaders,
    params,
    body: albumBody,
    response: {
      200: answer('Changed.', done('The album was changed.'), ['idempotency-replayed']),
      ...failures(400, 401, 404, 409, 412, 413, 415, 422, 503),
    },
  },
  remove: {
    tags,
    operationId: 'deleteAlbum',
    summary: 'Delete an album',
    description: 'Its songs stay, without an album.',
    headers: changeHeaders,
    params,
    response: {
      200: answer('Deleted.', done('The album was deleted.'), ['idempotency-replayed']),
      ...failures(400, 401, 404, 409, 412, 422, 503),
    },
  },
};

export const streamOf = streamIds('album', albumNotFound);

/** Rejects with ALBUM_NOT_FOUND. */
export async function albumMustExist({ database }: CatalogDependencies, id: string): Promise<void> {
  if (!(await albumExists(database, id))) throw albumNotFound();
}

export async function representAlbum({ database, publicUrl }: CatalogDependencies, id: string) {
  const view = await findAlbum(database, id);
  if (!view) return undefined;
  const { name, year, cover, songs } = view.album;
  const coverUrl = cover === null ? null : `${publicUrl}/${cover}`;
  const album = { id, name, year, coverUrl, songs: [] };
  return listAnswer({ status: 'success', data: { album } }, songs, view.version);
}

export const albumRoutes =
  (deps: CatalogDependencies): FastifyPluginCallbackZod =>
  (app, _options, registered) => {
    const { commands, idempotencyKeys, answers, listsOf } = deps;
    const { onRequest, mustBeAllowed } = catalogAccess(deps.catalogWrites);

    const represent = (id: string) => representAlbum(deps, id);
    const mustExist = (id: string) => () => albumMustExist(deps, id);

    app.post('/albums', { schema: schemas.create, onRequest }, async (request, reply) => {
      await mustBeAllowed(request);
      const origin = originOf(request, idempotencyKeys, request.body);
      const albumId = idFromCommand('album', origin.commandId);
      const command = { type: 'CreateAlbum', details: request.body } as const;
      markReplay(reply, await commands.album({ stream: albumId, command, origin }));
      return reply.code(201).send({ status: 'success', data: { albumId } });
    });

    app.get('/albums/:id', { schema: schemas.read }, async (request, reply) => {
      const id = streamOf(request.params.id);
      const { answer: found } = await answers.read(cached.album(id), () => represent(id));
      if (!found) throw albumNotFound();
      return sendListed(request, reply, found, songsOfAlbum(listsOf(reply), id));
    });

    app.put('/albums/:id', { schema: schemas.change, onRequest }, async (request, reply) => {
      const stream = streamOf(request.params.id);
      await mustBeAllowed(request, mustExist(stream));
      const command = { type: 'ChangeAlbum', details: request.body } as const;
      const origin = originOf(request, idempotencyKeys, request.body);
      const sent = commands.album({ stream, command, origin, expectedVersion: expectedVersion(request) });
      markReplay(reply, await conditionally(reply, sent, () => represent(stream)));
      return { status: 'success' as const, message: 'The album was changed.' };
    });

    app.delete('/albums/:id', { schema: schemas.remove, onRequest }, async (request, reply) => {
      const stream = streamOf(request.params.id);
      await mustBeAllowed(request, mustExist(stream));
      const command = { type: 'DeleteAlbum' } as const;
      const origin = originOf(request, idempotencyKeys);
      const sent = commands.album({ stream, command, origin, expectedVersion: expectedVersion(request) });
      markReplay(reply, await conditionally(reply, sent, () => represent(stream)));
      return { status: 'success' as const, message: 'The album was deleted.' };
    });

    registered();
  };
