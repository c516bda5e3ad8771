import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { idFromCommand } from '../../../events/ids.ts';
import { cached } from '../../../projections/engine/cache-keys.ts';
import { allPlaylistsOf, playlistsOf } from '../../../projections/playlists.ts';
import { callerOf, mustBeLoggedIn } from '../../auth.ts';
import { listAnswer, sendListed } from '../../long-answers.ts';
import { answer, failures } from '../../openapi.ts';
import { markReplay } from '../../origin.ts';
import { CHANGE_FAILURES, common, nothing, playlistChanges, type PlaylistDependencies } from './playlist-changes.ts';
import { changeHeaders, done, params, playlistSummary, success, text, writeHeaders } from '../../schemas.ts';

const nameBody = z.strictObject({ name: text('Name of the playlist.', 'Morning') }).meta({ id: 'PlaylistDetails' });

const schemas = {
  create: {
    ...common,
    operationId: 'createPlaylist',
    summary: 'Create a playlist',
    headers: writeHeaders,
    body: nameBody,
    response: {
      201: answer('Created.', success(z.strictObject({ playlistId: z.string() })), ['idempotency-replayed']),
      ...failures(400, 401, 409, 413, 415, 422, 503),
    },
  },
  list: {
    ...common,
    operationId: 'listPlaylists',
    summary: 'List own playlists and those shared with you',
    response: {
      200: answer('The playlists.', success(z.strictObject({ playlists: z.array(playlistSummary) })), [
        'x-data-source',
      ]),
      ...failures(401, 503),
    },
  },
  rename: {
    ...common,
    operationId: 'renamePlaylist',
    summary: 'Rename a playlist',
    headers: changeHeaders,
    params,
    body: nameBody,
    response: {
      200: answer('Renamed.', done('The playlist was renamed.'), ['idempotency-replayed']),
      ...failures(...CHANGE_FAILURES),
    },
  },
  remove: {
    ...common,
    operationId: 'deletePlaylist',
    summary: 'Delete a playlist',
    headers: changeHeaders,
    params,
    response: {
      200: answer('Deleted.', done('The playlist was deleted.'), ['idempotency-replayed']),
      ...failures(400, 401, 403, 404, 409, 412, 422, 503),
    },
  },
};

export const playlistRoutes =
  (deps: PlaylistDependencies): FastifyPluginCallbackZod =>
  (app, _options, registered) => {
    const { commands, database, listsOf, answers } = deps;
    const { originOf, change } = playlistChanges(deps);
    app.addHook('onRequest', mustBeLoggedIn);

    const listOf = async (account: string) => {
      const playlists = await playlistsOf(database, account);
      return listAnswer({ status: 'success', data: { playlists: [] } }, playlists);
    };

    app.post('/playlists', { schema: schemas.create }, async (request, reply) => {
      const origin = originOf(request);
      const playlistId = idFromCommand('playlist', origin.commandId);
      const command = { type: 'CreatePlaylist', name: request.body.name, actor: origin.actor } as const;
      markReplay(reply, await commands.playlist({ stream: playlistId, command, origin, context: nothing }));
      return reply.code(201).send({ status: 'success', data: { playlistId } });
    });

    app.get('/playlists', { schema: schemas.list }, async (request, reply) => {
      const account = callerOf(request);
      const { answer, source } = await answers.read(cached.playlistsOf(account), () => listOf(account));
      return sendListed(
        request,
        reply.header('x-data-source', source),
        answer,
        allPlaylistsOf(listsOf(reply), account),
      );
    });

    app.patch('/playlists/:id', { schema: schemas.rename }, async (request, reply) => {
      const origin = originOf(request);
      const command = { type: 'RenamePlaylist', name: request.body.name, actor: origin.actor } as const;
      await change(request, reply, { playlistId: request.params.id, command, origin });
      return { status: 'success' as const, message: 'The playlist was renamed.' };
    });

    app.delete('/playlists/:id', { schema: schemas.remove }, async (request, reply) => {
      const origin = originOf(request);
      const command = { type: 'DeletePlaylist', actor: origin.actor } as const;
      await change(request, reply, { playlistId: request.params.id, command, origin });
      return { status: 'success' as const, message: 'The playlist was deleted.' };
    });

    registered();
  };
