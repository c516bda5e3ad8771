import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { archive, areDistinct, fileIds, MAX_FILES, NAMED_TWICE } from '../../../jobs/types/archive.ts';
import { listOf, opaqueId } from '../../../text.ts';
import { isAdmin } from '../../access.ts';
import { callerOf, mustBeLoggedIn } from '../../auth.ts';
import { availabilityOf } from './available-files.ts';
import { limitChecks } from '../../body-places.ts';
import { resultLink } from './file-links.ts';
import { jobAccepted } from '../jobs/job-schemas.ts';
import { jobStarter, sendJob, START_FAILURES, type StartDependencies } from '../jobs/job-commands.ts';
import { answer, failures } from '../../openapi.ts';
import { params, success, writeHeaders } from '../../schemas.ts';
import { noStore } from '../../secure-headers.ts';
import { resultSchemas } from '../jobs/job-results.ts';
import { jobSchemas } from '../jobs/jobs.ts';

const availability = z
  .strictObject({
    fileId: z.string(),
    available: z.boolean(),
    size: z.int().optional().meta({ description: 'Bytes.' }),
    reason: z.enum(['NOT_FOUND', 'GONE']).optional().meta({ description: 'Another account’s file is `NOT_FOUND`.' }),
  })
  .meta({ id: 'Availability' });

const common = { tags: ['files'], security: [{ bearer: [] }] };

const started = {
  202: answer('Accepted.', jobAccepted, ['location', 'idempotency-replayed']),
  ...failures(...START_FAILURES),
};
const checked = {
  200: answer('The availability of each file.', success(z.strictObject({ files: z.array(availability) }))),
  ...failures(400, 401, 413, 415, 503),
};

const schemas = {
  start: {
    ...common,
    operationId: 'packFiles',
    summary: 'Pack files into one archive',
    description: 'A missing file is a failed item of the job; 400 when all are missing.',
    headers: writeHeaders,
    body: z.strictObject({ fileIds }),
    response: started,
  },
  check: {
    ...common,
    operationId: 'checkFiles',
    summary: 'Check which files are available',
    body: z.strictObject({ fileIds }),
    response: checked,
  },
};

/** The route under its name in the earlier download service. */
const aliasOf = <Schema extends { readonly operationId: string }>(schema: Schema) => ({
  ...schema,
  tags: ['files'],
  operationId: `${schema.operationId}V1`,
  deprecated: true,
});
/** Its clients may send numbers. No file of this system has such an id, so it is missing. */
const aliasBody = z.strictObject({
  file_ids: listOf(z.union([opaqueId(), z.int().transform(String)]), MAX_FILES)
    .refine(areDistinct, NAMED_TWICE)
    .meta({
      description: 'As `fileIds`; a number is read as the id with these digits.',
      examples: [['file-01999d3e', 70_000]],
    }),
});

const aliases = {
  start: { ...aliasOf(schemas.start), body: aliasBody },
  check: { ...aliasOf(schemas.check), body: aliasBody },
  status: aliasOf({ ...jobSchemas.read, params }),
  result: aliasOf({ ...resultSchemas.result, params }),
};

export const downloadRoutes =
  (deps: StartDependencies): FastifyPluginCallbackZod =>
  (app, _options, registered) => {
    const { onStart: onRequest } = deps;
    const checking = limitChecks();
    const start = jobStarter(deps);
    app.addHook('onRequest', mustBeLoggedIn);

    async function pack(request: FastifyRequest, reply: FastifyReply, fileIds: readonly string[]) {
      const jobId = await start(request, reply, { type: archive, payload: { fileIds } });
      return reply.code(202).send({ status: 'success', data: { jobId } });
    }

    async function check(request: FastifyRequest, fileIds: readonly string[]) {
      const reader = { account: callerOf(request), readsAll: isAdmin(request) };
      return { status: 'success' as const, data: { files: await availabilityOf(deps, fileIds, reader) } };
    }

    app.post('/downloads', { schema: schemas.start, onRequest }, (request, reply) =>
      pack(request, reply, request.body.fileIds),
    );
    app.post('/downloads/check', { schema: schemas.check, preHandler: checking }, (request) =>
      check(request, request.body.fileIds),
    );

    app.post('/v1/download/initiate', { schema: aliases.start, onRequest }, (request, reply) =>
      pack(request, reply, request.body.file_ids),
    );
    app.post('/v1/download/check', { schema: aliases.check, preHandler: checking }, (request) =>
      check(request, request.body.file_ids),
    );
    app.get('/v1/download/status/:id', { schema: aliases.status }, (request, reply) =>
      sendJob(deps, request, reply, request.params.id),
    );
    app.get('/v1/download/result/:id', { schema: aliases.result, onRequest: noStore }, async (request) => ({
      status: 'success' as const,
      data: await resultLink(deps, request, request.params.id),
    }));

    registered();
  };
