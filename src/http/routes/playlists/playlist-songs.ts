import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { type PlaylistContext, playlistNotFound } from '../../../commands/playlist.ts';
import { idFromCommand } from '../../../events/ids.ts';
import { cached } from '../../../projections/engine/cache-keys.ts';
import { activitiesOf } from '../../../projections/playlist-activities.ts';
import { readersOf, songsOfPlaylist } from '../../../projections/playlists.ts';
import { songMentions } from '../../../projections/songs.ts';
import { opaqueId } from '../../../text.ts';
import { callerOf, mustBeLoggedIn } from '../../auth.ts';
import { inPieces, LONG_ETAG, sendListed } from '../../long-answers.ts';
import { answer, failures } from '../../openapi.ts';
import {
  CHANGE_FAILURES,
  common,
  mustBeReader,
  playlistChanges,
  type PlaylistDependencies,
  representPlaylist,
  streamOf,
} from './playlist-changes.ts';
import { PAST, pastPlaylists, pastQuery, versionNameOf } from './past-playlists.ts';
import { changeHeaders, done, params, playlistSummary, readHeaders, songSummary, success } from '../../schemas.ts';

const songBody = z.strictObject({ songId: opaqueId() }).meta({ id: 'PlaylistSong' });
const playlistView = playlistSummary
  .extend({
    version: z.int().optional().meta({ description: 'Only with `version` or `at`.' }),
    time: z.iso
      .datetime()
      .optional()
      .meta({ description: 'When the version came about; only with `version` or `at`.' }),
    songs: z.array(songSummary),
  })
  .meta({ id: 'Playlist' });
const activity = z
  .strictObject({
    username: z.string(),
    title: z.string().meta({
      description: 'Title of the song at that time. With `restore` and `undelete` it is the name of the playlist.',
    }),
    action: z.enum(['add', 'delete', 'restore', 'undelete']),
    time: z.iso.datetime(),
  })
  .meta({ id: 'Activity' });

const schemas = {
  addSong: {
    ...common,
    operationId: 'addSongToPlaylist',
    summary: 'Put a song at the end of a playlist',
    headers: changeHeaders,
    params,
    body: songBody,
    response: {
      201: answer('Added.', done('The song was added.'), ['idempotency-replayed']),
      ...failures(...CHANGE_FAILURES),
    },
  },
  readSongs: {
    ...common,
    operationId: 'readPlaylist',
    summary: 'Read a playlist with its songs, in its order',
    description: `${PAST} ${LONG_ETAG}`,
    headers: readHeaders,
    params,
    querystring: pastQuery,
    response: {
      200: answer('The playlist.', success(z.strictObject({ playlist: playlistView })), ['etag', 'x-data-source']),
      304: z.null().meta({ description: 'The client has it already.' }),
      ...failures(400, 401, 403, 404, 503),
    },
  },
  removeSong: {
    ...common,
    operationId: 'removeSongFromPlaylist',
    summary: 'Take a song out of a playlist',
    headers: changeHeaders,
    params,
    body: songBody,
    response: {
      200: answer('Taken out.', done('The song was taken out.'), ['idempotency-replayed']),
      ...failures(...CHANGE_FAILURES),
    },
  },
  activities: {
    ...common,
    operationId: 'listActivities',
    summary: 'List the changes to the songs of a playlist, oldest first',
    params,
    response: {
      200: answer(
        'The activities.',
        success(z.strictObject({ playlistId: z.string(), activities: z.array(activity) })),
        ['x-data-source'],
      ),
      ...failures(401, 403, 404, 503),
    },
  },
};

export const playlistSongRoutes =
  (deps: PlaylistDependencies): FastifyPluginCallbackZod =>
  (app, _options, registered) => {
    const { database, listsOf, answers, playlistDuplicates: duplicates } = deps;
    const { originOf, change } = playlistChanges(deps);
    const sendPast = pastPlaylists(deps);
    app.addHook('onRequest', mustBeLoggedIn);

    const songOf = songMentions(database);
    const withSong = (songId: string) => async (): Promise<PlaylistContext> => ({ song: await songOf(songId) });

    app.post('/playlists/:id/songs', { schema: schemas.addSong }, async (request, reply) => {
      const { songId } = request.body;
      const origin = originOf(request);
      const entryId = idFromCommand('entry', origin.commandId);
      const command = { type: 'AddSong', songId, entryId, duplicates, actor: origin.actor } as const;
      await change(request, reply, { playlistId: request.params.id, command, origin, context: withSong(songId) });
      return reply.code(201).send({ status: 'success', message: 'The song was added.' });
    });

    app.get('/playlists/:id/songs', { schema: schemas.readSongs }, async (request, reply) => {
      const id = streamOf(request.params.id);
      const past = versionNameOf(request.query);
      if (past) return sendPast(request, reply, past);
      const { answer: found, source } = await answers.read(cached.playlist(id), () => representPlaylist(database, id));
      mustBeReader(found?.readers, callerOf(request));
      if (!found) throw playlistNotFound();
      return sendListed(request, reply.header('x-data-source', source), found, songsOfPlaylist(listsOf(reply), id));
    });

    app.delete('/playlists/:id/songs', { schema: schemas.removeSong }, async (request, reply) => {
      const { songId } = request.body;
      const origin = originOf(request);
      const command = { type: 'RemoveSong', songId, actor: origin.actor } as const;
      await change(request, reply, { playlistId: request.params.id, command, origin, context: withSong(songId) });
      return { status: 'success' as const, message: 'The song was taken out.' };
    });

    app.get('/playlists/:id/activities', { schema: schemas.activities }, async (request, reply) => {
      const playlistId = streamOf(request.params.id);
      mustBeReader(await readersOf(database, playlistId), callerOf(request));
      reply.header('x-data-source', 'database');
      const content = { status: 'success', data: { playlistId, activities: [] } };
      return reply.sendInPieces(inPieces({ content, list: activitiesOf(listsOf(reply), playlistId) }));
    });

    registered();
  };
