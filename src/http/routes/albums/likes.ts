import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { albumNotFound } from '../../../commands/album.ts';
import type { LikeCommand } from '../../../commands/like.ts';
import { likeOf } from '../../../events/likes.ts';
import { cached } from '../../../projections/engine/cache-keys.ts';
import { albumExists } from '../../../projections/albums.ts';
import { likesOf } from '../../../projections/like-counts.ts';
import { callerOf, mustBeLoggedIn } from '../../auth.ts';
import { sendAnswer } from '../../etag.ts';
import { answer, failures } from '../../openapi.ts';
import { markReplay, originOf } from '../../origin.ts';
import { done, params, success, writeHeaders } from '../../schemas.ts';
import { type CatalogDependencies, streamOf } from './albums.ts';

const tags = ['albums'];
const change = (operationId: string, summary: string) => ({
  tags,
  operationId,
  summary,
  headers: writeHeaders,
  params,
  security: [{ bearer: [] }],
});
const schemas = {
  like: {
    ...change('likeAlbum', 'Like an album'),
    response: {
      201: answer('Liked.', done('You like this album.'), ['idempotency-replayed']),
      ...failures(400, 401, 404, 409, 422, 503),
    },
  },
  unlike: {
    ...change('unlikeAlbum', 'Stop liking an album'),
    response: {
      200: answer('Taken back.', done('You do not like this album any more.'), ['idempotency-replayed']),
      ...failures(400, 401, 404, 409, 422, 503),
    },
  },
  count: {
    tags,
    operationId: 'countLikes',
    summary: 'Count the accounts that like an album',
    params,
    response: {
      200: answer('The count.', success(z.strictObject({ likes: z.int() })), ['x-data-source']),
      ...failures(404, 503),
    },
  },
};

export const likeRoutes =
  ({ commands, database, idempotencyKeys, answers }: CatalogDependencies): FastifyPluginCallbackZod =>
  (app, _options, registered) => {
    const onRequest = mustBeLoggedIn;
    const send = async (request: FastifyRequest, reply: FastifyReply, id: string, type: LikeCommand['type']) => {
      const [albumId, accountId] = [streamOf(id), callerOf(request)];
      const command = { type, albumId, accountId };
      const origin = originOf(request, idempotencyKeys);
      const context = async () => ({ albumExists: await albumExists(database, albumId) });
      markReplay(reply, await commands.like({ stream: likeOf(albumId, accountId), command, origin, context }));
    };

    const countOf = async (albumId: string) => {
      const likes = await likesOf(database, albumId);
      return likes === undefined ? undefined : { body: JSON.stringify({ status: 'success', data: { likes } }) };
    };

    app.post('/albums/:id/likes', { schema: schemas.like, onRequest }, async (request, reply) => {
      await send(request, reply, request.params.id, 'LikeAlbum');
      return reply.code(201).send({ status: 'success', message: 'You like this album.' });
    });

    app.delete('/albums/:id/likes', { schema: schemas.unlike, onRequest }, async (request, reply) => {
      await send(request, reply, request.params.id, 'UnlikeAlbum');
      return { status: 'success' as const, message: 'You do not like this album any more.' };
    });

    app.get('/albums/:id/likes', { schema: schemas.count }, async (request, reply) => {
      const albumId = streamOf(request.params.id);
      const { answer: found, source } = await answers.read(cached.likes(albumId), () => countOf(albumId));
      if (!found) throw albumNotFound();
      return sendAnswer(request, reply.header('x-data-source', source), found);
    });

    registered();
  };
