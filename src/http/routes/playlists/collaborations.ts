import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { PlaylistContext } from '../../../commands/playlist.ts';
import { idFromCommand } from '../../../events/ids.ts';
import { opaqueId } from '../../../text.ts';
import { mustBeLoggedIn } from '../../auth.ts';
import { answer, failures } from '../../openapi.ts';
import { CHANGE_FAILURES, common, playlistChanges, type PlaylistDependencies } from './playlist-changes.ts';
import { changeHeaders, done, success } from '../../schemas.ts';

const collaborationBody = z
  .strictObject({ playlistId: opaqueId(), userId: opaqueId() })
  .meta({ id: 'CollaborationDetails' });

const schemas = {
  share: {
    ...common,
    operationId: 'addCollaborator',
    summary: 'Share a playlist',
    headers: changeHeaders,
    body: collaborationBody,
    response: {
      201: answer('Shared.', success(z.strictObject({ collaborationId: z.string() })), ['idempotency-replayed']),
      ...failures(...CHANGE_FAILURES),
    },
  },
  unshare: {
    ...common,
    operationId: 'removeCollaborator',
    summary: 'Stop sharing a playlist',
    headers: changeHeaders,
    body: collaborationBody,
    response: {
      200: answer('No longer shared.', done('The collaboration was ended.'), ['idempotency-replayed']),
      ...failures(...CHANGE_FAILURES),
    },
  },
};

export const collaborationRoutes =
  (deps: PlaylistDependencies): FastifyPluginCallbackZod =>
  (app, _options, registered) => {
    const { accounts } = deps;
    const { originOf, change } = playlistChanges(deps);
    app.addHook('onRequest', mustBeLoggedIn);

    const withAccount = (id: string) => async (): Promise<PlaylistContext> => ({
      accountExists: await accounts.exists(id),
    });

    app.post('/collaborations', { schema: schemas.share }, async (request, reply) => {
      const { playlistId, userId: accountId } = request.body;
      const origin = originOf(request);
      const collaborationId = idFromCommand('collab', origin.commandId);
      const command = { type: 'AddCollaborator', accountId, collaborationId, actor: origin.actor } as const;
      await change(request, reply, { playlistId, command, origin, context: withAccount(accountId) });
      return reply.code(201).send({ status: 'success', data: { collaborationId } });
    });

    app.delete('/collaborations', { schema: schemas.unshare }, async (request, reply) => {
      const { playlistId, userId: accountId } = request.body;
      const origin = originOf(request);
      const command = { type: 'RemoveCollaborator', accountId, actor: origin.actor } as const;
      await change(request, reply, { playlistId, command, origin, context: withAccount(accountId) });
      return { status: 'success' as const, message: 'The collaboration was ended.' };
    });

    registered();
  };
