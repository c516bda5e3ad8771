import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import type { z } from 'zod';
import { songNotFound } from '../../../commands/song.ts';
import type { SongDetails } from '../../../events/catalog.ts';
import { idFromCommand } from '../../../events/ids.ts';
import type { Database } from '../../../postgres/pool.ts';
import { albumExists } from '../../../projections/albums.ts';
import { cached } from '../../../projections/engine/cache-keys.ts';
import { findSong, searchSongs, type SongSummary } from '../../../projections/songs.ts';
import { catalogAccess } from '../../access.ts';
import { conditionally, expectedVersion, sendAnswer, tagged } from '../../etag.ts';
import { inPieces } from '../../long-answers.ts';
import { markReplay, originOf } from '../../origin.ts';
import { pageOf } from '../../paging.ts';
import { streamIds } from '../../stream-ids.ts';
import type { CatalogDependencies } from '../albums/albums.ts';
import { schemas, type songBody } from './song-schemas.ts';

const toDetails = ({ duration, albumId, ...rest }: z.infer<typeof songBody>): SongDetails => ({
  ...rest,
  duration: duration ?? null,
  albumId: albumId ?? null,
});

const streamOf = streamIds('song', songNotFound);

type App = Parameters<FastifyPluginCallbackZod>[0];

export const songRoutes =
  (deps: CatalogDependencies): FastifyPluginCallbackZod =>
  (app, _options, registered) => {
    registerReads(app, deps);
    registerCreation(app, deps);
    registerChanges(app, deps);
    registered();
  };

function registerReads(app: App, { database, listsOf, answers }: CatalogDependencies): void {
  app.get('/songs', { schema: schemas.search }, async (request, reply) => {
    const { limit, cursor: after, ...filters } = request.query;
    const isPage = limit !== undefined || after !== undefined;
    const page = isPage ? pageOf<SongSummary>(({ id }) => id, limit) : undefined;
    const list = searchSongs(listsOf(reply), { ...filters, after });
    return reply.sendInPieces(inPieces({ content: { status: 'success', data: { songs: [] } }, list, page }));
  });

  app.get('/songs/:id', { schema: schemas.read }, async (request, reply) => {
    const id = streamOf(request.params.id);
    const { answer: found } = await answers.read(cached.song(id), () => representSong(database, id));
    if (!found) throw songNotFound();
    return sendAnswer(request, reply, found);
  });
}

function registerCreation(app: App, { commands, database, idempotencyKeys, catalogWrites }: CatalogDependencies): void {
  const { onRequest, mustBeAllowed } = catalogAccess(catalogWrites);
  app.post('/songs', { schema: schemas.create, onRequest }, async (request, reply) => {
    await mustBeAllowed(request);
    const origin = originOf(request, idempotencyKeys, request.body);
    const songId = idFromCommand('song', origin.commandId);
    const details = toDetails(request.body);
    const command = { type: 'CreateSong', details } as const;
    const context = contextOf(database, details);
    markReplay(reply, await commands.song({ stream: songId, command, origin, context }));
    return reply.code(201).send({ status: 'success', data: { songId } });
  });
}

function registerChanges(app: App, { commands, database, idempotencyKeys, catalogWrites }: CatalogDependencies): void {
  const { onRequest, mustBeAllowed } = catalogAccess(catalogWrites);
  const mustExist = (id: string) => async () => {
    if (!(await representSong(database, id))) throw songNotFound();
  };

  app.put('/songs/:id', { schema: schemas.change, onRequest }, async (request, reply) => {
    const stream = streamOf(request.params.id);
    await mustBeAllowed(request, mustExist(stream));
    const details = toDetails(request.body);
    const command = { type: 'ChangeSong', details } as const;
    const origin = originOf(request, idempotencyKeys, request.body);
    const condition = { expectedVersion: expectedVersion(request), context: contextOf(database, details) };
    const sent = commands.song({ stream, command, origin, ...condition });
    markReplay(reply, await conditionally(reply, sent, () => representSong(database, stream)));
    return { status: 'success' as const, message: 'The song was changed.' };
  });

  app.delete('/songs/:id', { schema: schemas.remove, onRequest }, async (request, reply) => {
    const stream = streamOf(request.params.id);
    await mustBeAllowed(request, mustExist(stream));
    const command = { type: 'DeleteSong' } as const;
    const origin = originOf(request, idempotencyKeys);
    const condition = { expectedVersion: expectedVersion(request), context: noContext };
    const sent = commands.song({ stream, command, origin, ...condition });
    markReplay(reply, await conditionally(reply, sent, () => representSong(database, stream)));
    return { status: 'success' as const, message: 'The song was deleted.' };
  });
}

async function representSong(database: Database, id: string) {
  const view = await findSong(database, id);
  return view && tagged(view.version, { status: 'success', data: { song: view.song } });
}

/** Whether the album exists is read for each decision, also when the command is decided again after a lost race. */
const contextOf =
  (database: Database, { albumId }: SongDetails) =>
  async () => ({ albumExists: albumId === null || (await albumExists(database, albumId)) });

const noContext = () => Promise.resolve({ albumExists: true });
