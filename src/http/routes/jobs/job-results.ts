import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { byKey } from '../../../projections/engine/lists.ts';
import { mustBeLoggedIn } from '../../auth.ts';
import { resultLink } from '../files/file-links.ts';
import { itemViewsOf, type ItemView } from '../../../jobs/item-views.ts';
import { linkView } from './job-schemas.ts';
import { common, type JobDependencies, visibleJob } from './job-commands.ts';
import { createListsOf, inPieces } from '../../long-answers.ts';
import { answer, failures } from '../../openapi.ts';
import { cursorQuery, limitQuery, nextCursor, pageOf } from '../../paging.ts';
import { params, success } from '../../schemas.ts';
import { noStore } from '../../secure-headers.ts';

const itemsQuery = z.object({
  limit: limitQuery,
  cursor: cursorQuery((key) => (/^(?:0|[1-9]\d{0,8})$/.test(key) ? Number(key) : undefined)),
});

const itemView = z
  .strictObject({
    item: z.int().meta({ description: 'From 0, in the order of the request.' }),
    state: z.enum(['waiting', 'done', 'failed']),
    attempts: z.int().meta({ description: 'Failed attempts.' }),
    to: z.string().optional(),
    fileId: z.string().optional(),
    nextAt: z.iso.datetime().optional(),
    error: z.string().optional(),
    result: z.string().optional(),
    settledAt: z.iso.datetime().optional(),
  })
  .meta({ id: 'JobItem' });

export const resultSchemas = {
  items: {
    ...common,
    operationId: 'listJobItems',
    summary: 'List the outcome of each item of a batch',
    params,
    querystring: itemsQuery,
    response: {
      200: answer('A page of items.', success(z.strictObject({ items: z.array(itemView), nextCursor }))),
      ...failures(400, 401, 404, 503),
    },
  },
  result: {
    ...common,
    operationId: 'readJobResult',
    summary: 'Get a link to the file that a job has made',
    description: '409 until the job has succeeded, 404 when it makes no file, 410 when the file has been deleted.',
    params,
    response: {
      200: answer('The link.', success(linkView)),
      ...failures(401, 404, 409, 410, 503),
    },
  },
};

export const jobResultRoutes =
  (deps: JobDependencies): FastifyPluginCallbackZod =>
  (app, _options, registered) => {
    const { database, jobs } = deps;
    const listsOf = createListsOf(jobs.tables);
    app.addHook('onRequest', mustBeLoggedIn);

    app.get('/jobs/:id/items', { schema: resultSchemas.items }, async (request, reply) => {
      const { payloadId } = await visibleJob(database, request, request.params.id);
      const { limit, cursor } = request.query;
      // The workers use these connections too.
      const { first: query } = listsOf(reply);
      const list = byKey<ItemView>((limit, last) =>
        itemViewsOf({ query }, payloadId ?? '', limit, last?.item ?? cursor),
      );
      const page = pageOf<ItemView>(({ item }) => String(item), limit);
      return reply.sendInPieces(inPieces({ content: { status: 'success', data: { items: [] } }, list, page }));
    });

    app.get('/jobs/:id/result', { schema: resultSchemas.result, onRequest: noStore }, async (request) => ({
      status: 'success' as const,
      data: await resultLink(deps, request, request.params.id),
    }));

    registered();
  };
