import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { byKey } from '../../../projections/engine/lists.ts';
import { filesOf, findFiles, type StoredFileView } from '../../../projections/job-files.ts';
import { filesUnavailable } from '../../../providers/files/failure.ts';
import type { OpenFile } from '../../../providers/files/files.ts';
import { isStorable, REQUEST_LENGTH } from '../../../text.ts';
import { callerOf, mustBeLoggedIn } from '../../auth.ts';
import { limitFiles } from '../../body-places.ts';
import { HttpError } from '../../errors.ts';
import { fileGone, openFile } from './file-links.ts';
import type { JobDependencies } from '../jobs/job-commands.ts';
import { ownerByLink, SIGNED_LENGTH } from './links.ts';
import { inPieces } from '../../long-answers.ts';
import { answer, failures } from '../../openapi.ts';
import { limitQuery, momentKey, momentQuery, nextCursor, pageOf } from '../../paging.ts';
import { success } from '../../schemas.ts';
import { sendFile } from './send-file.ts';

const fileView = z
  .strictObject({
    fileId: z.string(),
    kind: z.string().meta({ examples: ['export', 'archive', 'report'] }),
    name: z.string(),
    size: z.int().meta({ description: 'Bytes.' }),
    createdAt: z.iso.datetime(),
    jobId: z.string(),
  })
  .meta({ id: 'File' });

const linkParams = z.object({ fileId: z.string().max(REQUEST_LENGTH) });
/** Parts of a link. They are not validated here, so that a forged link is answered like an expired one. */
const signed = z.unknown().optional().meta({ type: 'string', maxLength: SIGNED_LENGTH });
const linkQuery = z.object({ owner: signed, expires: signed, signature: signed });

const bytes = { content: { 'application/octet-stream': { schema: z.file() } } };

const schemas = {
  list: {
    tags: ['files'],
    security: [{ bearer: [] }],
    operationId: 'listFiles',
    summary: 'List the files that your jobs have made, the newest first',
    querystring: z.object({ limit: limitQuery, cursor: momentQuery }),
    response: {
      200: answer('A page of files.', success(z.strictObject({ files: z.array(fileView), nextCursor }))),
      ...failures(400, 401, 503),
    },
  },
  content: {
    tags: ['files'],
    operationId: 'downloadFile',
    summary: 'Download a file by its link',
    description: 'The link works without a login until it expires. 410 when the file has been deleted before.',
    params: linkParams,
    querystring: linkQuery,
    response: {
      200: { description: 'The file.', ...bytes },
      206: { description: 'The requested range.', ...bytes },
      304: z.null().meta({ description: 'The client has it already.' }),
      ...failures(403, 410, 416, 503),
    },
  },
};

export const fileRoutes =
  ({ database, listsOf, files, jobs }: JobDependencies): FastifyPluginCallbackZod =>
  (app, _options, registered) => {
    app.get('/files', { schema: schemas.list, onRequest: mustBeLoggedIn }, (request, reply) => {
      const { limit, cursor } = request.query;
      const owner = callerOf(request);
      const { first, query } = listsOf(reply);
      const list = byKey(async (limit, last?: FileView) => {
        const after = last ? momentOf(last) : cursor;
        return (await filesOf({ query: last ? query : first }, { owner, limit, after })).map(viewOf);
      });
      const page = pageOf((last: FileView) => momentKey(momentOf(last)), limit);
      return reply.sendInPieces(inPieces({ content: { status: 'success', data: { files: [] } }, list, page }));
    });

    app.get('/files/:fileId/content', { schema: schemas.content, onRequest: limitFiles() }, async (request, reply) => {
      const { method, query, params } = request;
      const owner = ownerByLink({ method, fileId: params.fileId, query }, jobs.links.keys);
      if (owner === undefined || !isStorable(params.fileId)) throw badLink();
      const [made] = await findFiles(database, [params.fileId]);
      const file = made?.ownerId === owner ? await openFile(files, made.stored) : undefined;
      if (!made || !file) throw fileGone();
      const read: OpenFile['read'] = (range) => file.read(range).catch(filesUnavailable);
      return sendFile(request, reply, { ...made, file: { ...file, read }, etag: tagOf(made) });
    });

    registered();
  };

type FileView = z.infer<typeof fileView>;

const viewOf = ({ fileId, kind, name, size, createdAt, jobId }: StoredFileView): FileView => ({
  fileId,
  kind,
  name,
  size,
  createdAt,
  jobId,
});

const momentOf = ({ createdAt, jobId }: FileView) => ({ createdAt, id: jobId });

/** A retried job makes another file with the same id, so the ETag contains the time. */
const tagOf = ({ fileId, createdAt }: StoredFileView) => `"${fileId}-${Date.parse(createdAt).toString(36)}"`;

const badLink = () =>
  new HttpError({ status: 403, code: 'LINK_NOT_VALID', message: 'This link is not valid, or it has expired.' });
