import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { exportPlaylist } from '../../../jobs/types/export-playlist.ts';
import { addressed } from '../../../jobs/mailing.ts';
import { mustBeLoggedIn } from '../../auth.ts';
import { provider } from '../jobs/job-schemas.ts';
import { jobStarter, START_FAILURES, type StartDependencies } from '../jobs/job-commands.ts';
import { answer, failures } from '../../openapi.ts';
import { streamOf } from './playlist-changes.ts';
import { params, writeHeaders } from '../../schemas.ts';

const schema = {
  tags: ['playlists'],
  security: [{ bearer: [] }],
  operationId: 'exportPlaylist',
  summary: 'Mail a playlist as a file',
  description: 'The file has the playlist as it is now, even if it changes before the mail is sent.',
  headers: writeHeaders,
  params,
  body: z
    .strictObject({
      targetEmail: addressed.meta({ examples: ['chris@example.com'] }),
      provider,
    })
    .meta({ id: 'PlaylistExport' }),
  response: {
    201: answer(
      'Accepted.',
      z.strictObject({
        status: z.literal('success'),
        message: z.string(),
        data: z.strictObject({ jobId: z.string() }),
      }),
      ['location', 'idempotency-replayed'],
    ),
    ...failures(...START_FAILURES, 404),
  },
};

export const exportRoutes =
  (deps: StartDependencies): FastifyPluginCallbackZod =>
  (app, _options, registered) => {
    const start = jobStarter(deps);
    app.addHook('onRequest', mustBeLoggedIn);

    app.post('/export/playlists/:id', { schema, onRequest: deps.onStart }, async (request, reply) => {
      const payload = { playlistId: streamOf(request.params.id), ...request.body };
      const jobId = await start(request, reply, { type: exportPlaylist, payload });
      const message = 'The playlist will be mailed as it is now.';
      return reply.code(201).send({ status: 'success', message, data: { jobId } });
    });

    registered();
  };
