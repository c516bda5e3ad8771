import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { PlaylistContext } from '../../../commands/playlist.ts';
import { UNDELETE_MS } from '../../../events/playlists.ts';
import {
  collaboratorsChanged,
  diffOf,
  pastPlaylist,
  type PlaylistVersion,
  versionsOf,
} from '../../../projections/playlist-history.ts';
import {
  type DeletedPlaylist,
  deletedPlaylistsOf,
  deletionTimeOf,
  findPlaylistHead,
} from '../../../projections/playlists.ts';
import { callerOf, mustBeLoggedIn } from '../../auth.ts';
import { inPieces } from '../../long-answers.ts';
import { answer, failures } from '../../openapi.ts';
import { cursorQuery, deletionQuery, limitQuery, momentKey, nextCursor, pageOf } from '../../paging.ts';
import { openHistory, versionQuery } from './past-playlists.ts';
import { CHANGE_FAILURES, common, playlistChanges, type PlaylistDependencies, streamOf } from './playlist-changes.ts';
import { changeHeaders, done, integer, params, songSummary, success } from '../../schemas.ts';

const user = z.strictObject({ id: z.string(), username: z.string() });
const position = z.int().meta({ description: 'Place in the list, from 1.' });
const placedSong = songSummary.extend({ position });

const version = z
  .strictObject({
    version: z.int(),
    time: z.iso.datetime(),
    actor: user.meta({ description: 'Who did it; the username is `deleted` when the account no longer exists.' }),
    type: z.string().meta({
      description: 'What happened: the type of the event.',
      examples: ['SongsAddedToPlaylist'],
    }),
  })
  .meta({ id: 'PlaylistVersion' });

const deletedPlaylist = z
  .strictObject({
    id: z.string(),
    name: z.string(),
    deletedAt: z.iso.datetime(),
    undeletableUntil: z.iso.datetime().meta({ description: 'Until then it can be brought back.' }),
  })
  .meta({ id: 'DeletedPlaylist' });

const diff = z
  .strictObject({
    playlistId: z.string(),
    from: z.int(),
    to: z.int(),
    name: z
      .strictObject({ from: z.string(), to: z.string() })
      .nullable()
      .meta({ description: 'Null when it is the same.' }),
    added: z.array(placedSong).meta({ description: 'With their places in `to`.' }),
    removed: z.array(placedSong).meta({ description: 'With their places in `from`.' }),
    moved: z
      .array(songSummary.extend({ from: position, to: position }))
      .meta({ description: 'As few songs as possible that were moved among those that stayed.' }),
    collaborators: z
      .strictObject({ added: z.array(user), removed: z.array(user) })
      .optional()
      .meta({ description: 'Only for the owner.' }),
  })
  .meta({ id: 'PlaylistDiff' });

const versionCursor = cursorQuery((key) => (/^[1-9]\d{0,8}$/.test(key) ? Number(key) : undefined));

const schemas = {
  versions: {
    ...common,
    operationId: 'listPlaylistVersions',
    summary: 'List the versions of a playlist, the newest first',
    description: 'Each change is a version. Collaborators see those of the times in which they were collaborators.',
    params,
    querystring: z.object({ limit: limitQuery, cursor: versionCursor }),
    response: {
      200: answer(
        'A page of versions.',
        success(z.strictObject({ playlistId: z.string(), versions: z.array(version), nextCursor })),
      ),
      ...failures(400, 401, 403, 404, 503),
    },
  },
  diff: {
    ...common,
    operationId: 'diffPlaylist',
    summary: 'Compare two versions of a playlist',
    description: 'Compares what `GET /playlists/{id}/songs?version=` shows of both.',
    params,
    querystring: z.object({ from: versionQuery, to: versionQuery }),
    response: { 200: answer('What differs.', success(diff)), ...failures(400, 401, 403, 404, 503) },
  },
  restore: {
    ...common,
    operationId: 'restorePlaylist',
    summary: 'Give a playlist the name and the songs of an earlier version',
    description:
      'Only its owner can do it. Collaborators stay as they are. It is one more version, also when nothing differs. At most 10,000 songs (413).',
    headers: changeHeaders,
    params,
    body: z
      .strictObject({ version: integer('Version whose name and songs come back.', 3).min(1) })
      .meta({ id: 'PlaylistRestore' }),
    response: {
      200: answer('Restored.', done('The playlist was restored.'), ['idempotency-replayed']),
      ...failures(...CHANGE_FAILURES),
    },
  },
  deleted: {
    ...common,
    operationId: 'listDeletedPlaylists',
    summary: 'List own playlists that were deleted in the last 30 days, the last deleted one first',
    querystring: z.object({ limit: limitQuery, cursor: deletionQuery }),
    response: {
      200: answer('A page of playlists.', success(z.strictObject({ playlists: z.array(deletedPlaylist), nextCursor }))),
      ...failures(400, 401, 503),
    },
  },
  undelete: {
    ...common,
    operationId: 'undeletePlaylist',
    summary: 'Bring a deleted playlist back',
    description:
      'Within 30 days, with its name, songs and collaborators. Only its owner can do it; a playlist that is deleted is 404 for others.',
    headers: changeHeaders,
    params,
    response: {
      200: answer('It is back.', done('The playlist was brought back.'), ['idempotency-replayed']),
      ...failures(400, 401, 403, 404, 409, 412, 422, 503),
    },
  },
};

export const playlistHistoryRoutes =
  (deps: PlaylistDependencies): FastifyPluginCallbackZod =>
  (app, _options, registered) => {
    const { database, listsOf, now } = deps;
    const { originOf, change } = playlistChanges(deps);
    app.addHook('onRequest', mustBeLoggedIn);

    app.get('/playlists/:id/versions', { schema: schemas.versions }, async (request, reply) => {
      const { limit, cursor } = request.query;
      const { head, lists, spans } = await openHistory(deps, request, reply);
      const content = { status: 'success', data: { playlistId: head.id, versions: [] } };
      const page = pageOf<PlaylistVersion>((last) => String(last.version), limit);
      return reply.sendInPieces(inPieces({ content, list: versionsOf(lists, head.id, spans, cursor), page }));
    });

    app.get('/playlists/:id/diff', { schema: schemas.diff }, async (request, reply) => {
      const { from, to } = request.query;
      const { head, isOwner, at } = await openHistory(deps, request, reply);
      const [before, after] = [await at({ version: from }), await at({ version: to })];
      const differences = await diffOf(database, before, after);
      const collaborators = isOwner ? await collaboratorsChanged(database, before, after) : undefined;
      const data = { playlistId: head.id, from, to, ...differences, collaborators };
      return reply.sendInPieces(inOnePiece(JSON.stringify({ status: 'success', data })));
    });

    app.post('/playlists/:id/restore', { schema: schemas.restore }, async (request, reply) => {
      const { version } = request.body;
      const playlistId = streamOf(request.params.id);
      const origin = originOf(request);
      const command = { type: 'RestorePlaylist', version, actor: origin.actor } as const;
      const context = () => earlierOf(deps, playlistId, command);
      await change(request, reply, { playlistId, command, origin, context });
      return { status: 'success' as const, message: 'The playlist was restored.' };
    });

    app.get('/playlists/deleted', { schema: schemas.deleted }, (request, reply) => {
      const { limit, cursor } = request.query;
      const after = cursor && { id: cursor.id, deletedAt: cursor.createdAt };
      const since = new Date(now() - UNDELETE_MS);
      const list = deletedPlaylistsOf(listsOf(reply), callerOf(request), { since, after });
      const views = { next: async (most: number) => (await list.next(most))?.map(deletedView) };
      const keyOf = ({ id, deletedAt }: DeletedPlaylist) => momentKey({ id, createdAt: deletedAt });
      const content = { status: 'success', data: { playlists: [] } };
      return reply.sendInPieces(inPieces({ content, list: views, page: pageOf(keyOf, limit) }));
    });

    app.post('/playlists/:id/undelete', { schema: schemas.undelete }, async (request, reply) => {
      const playlistId = streamOf(request.params.id);
      const origin = originOf(request);
      const command = { type: 'UndeletePlaylist', now: now(), actor: origin.actor } as const;
      const context = async () => ({ deletedAt: (await deletionTimeOf(database, playlistId))?.getTime() });
      await change(request, reply, { playlistId, command, origin, context });
      return { status: 'success' as const, message: 'The playlist was brought back.' };
    });

    registered();
  };

/** Folds nothing for accounts that may not restore: the decision refuses them. */
async function earlierOf(
  { database }: PlaylistDependencies,
  playlistId: string,
  { version, actor }: { version: number; actor: string },
): Promise<PlaylistContext> {
  const head = await findPlaylistHead(database, playlistId);
  return head?.ownerId === actor ? { earlier: await pastPlaylist(database, playlistId, version) } : {};
}

const deletedView = (playlist: DeletedPlaylist) => ({
  ...playlist,
  undeletableUntil: new Date(Date.parse(playlist.deletedAt) + UNDELETE_MS).toISOString(),
});

async function* inOnePiece(text: string): AsyncGenerator<string, void> {
  yield await Promise.resolve(text);
}
