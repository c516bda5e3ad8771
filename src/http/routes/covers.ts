import { hash } from 'node:crypto';
import multipart from '@fastify/multipart';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { notFound } from '../../errors.ts';
import { newId } from '../../events/ids.ts';
import { filesUnavailable } from '../../providers/files/failure.ts';
import type { Files, OpenFile } from '../../providers/files/files.ts';
import { REQUEST_LENGTH } from '../../text.ts';
import { catalogAccess } from '../access.ts';
import { conditionally, expectedVersion } from '../etag.ts';
import { limitCovers } from '../body-places.ts';
import { imageTypeOf, mediaTypeOf } from '../images.ts';
import { answer, failures } from '../openapi.ts';
import { markReplay, originOf } from '../origin.ts';
import { sendFile } from '../send-file.ts';
import { changeHeaders, done, params } from '../schemas.ts';
import { fileOf } from '../upload.ts';
import { validatorCompiler } from '../validation.ts';
import { albumMustExist, type CatalogDependencies, representAlbum, streamOf } from './albums.ts';

export interface CoverDependencies extends CatalogDependencies {
  readonly files: Pick<Files, 'put' | 'open'>;
}

const MAX_BYTES = 512_000;
/** What the names of all covers begin with. */
export const COVERS = 'covers/';

const form = z.object({
  cover: z.file().meta({ description: 'PNG, JPEG, GIF, WebP or AVIF, at most 512,000 bytes.' }),
});
const fileParams = z.object({
  file: z.string().max(REQUEST_LENGTH).meta({ description: 'As `coverUrl` of the album ends.' }),
});

const schemas = {
  upload: {
    tags: ['albums'],
    operationId: 'changeCover',
    summary: 'Give an album a cover',
    consumes: ['multipart/form-data'],
    headers: changeHeaders,
    params,
    body: form,
    response: {
      201: answer('Changed.', done('The cover was changed.'), ['idempotency-replayed']),
      ...failures(400, 401, 403, 404, 409, 412, 413, 415, 422, 503),
    },
  },
  read: {
    tags: ['albums'],
    operationId: 'readCover',
    summary: 'See a cover',
    params: fileParams,
    response: {
      200: { description: 'The image.', content: { 'image/*': { schema: z.file() } } },
      206: { description: 'The part of it that was asked for.', content: { 'image/*': { schema: z.file() } } },
      304: z.null().meta({ description: 'The client has it already.' }),
      ...failures(404, 416, 503),
    },
  },
};

export const coverRoutes =
  (deps: CoverDependencies): FastifyPluginAsyncZod =>
  async (app) => {
    const { commands, idempotencyKeys, files } = deps;
    const { onRequest, mustBeAllowed } = catalogAccess(deps.catalogWrites);
    await app.register(multipart);
    // The form is read by the handler: it is no object before.
    app.setValidatorCompiler<z.ZodType>((part) => (part.httpPart === 'body' ? () => true : validatorCompiler(part)));

    const beforeCover = [onRequest, limitCovers()];
    app.post('/albums/:id/covers', { schema: schemas.upload, onRequest: beforeCover }, async (request, reply) => {
      const bytes = await fileOf(request, 'cover', { bytes: MAX_BYTES });
      const { extension, mediaType } = imageTypeOf(bytes);
      const stream = streamOf(request.params.id);
      const mustExist = () => albumMustExist(deps, stream);
      await mustBeAllowed(request, mustExist);
      const file = `${COVERS}${newId()}.${extension}`;
      const command = { type: 'ChangeCover', cover: { file, mediaType, size: bytes.length } } as const;
      const origin = originOf(request, idempotencyKeys, { cover: hash('sha256', bytes, 'base64url') });
      // A repeated command is answered as it was, whatever became of the album since.
      if (!origin.repeatable) await mustExist();
      // The file is there before the event that names it. When none will, the sweep takes it away: here nobody can know.
      await files.put(file, bytes, mediaType).catch(filesUnavailable);
      const sent = commands.album({ stream, command, origin, expectedVersion: expectedVersion(request) });
      markReplay(reply, await conditionally(reply, sent, () => representAlbum(deps, stream)));
      return reply.code(201).send({ status: 'success', message: 'The cover was changed.' });
    });

    app.get('/covers/:file', { schema: schemas.read }, async (request, reply) => {
      const { file } = request.params;
      const name = /^[\da-f-]{36}\.[a-z]{3,4}$/.test(file) ? COVERS + file : undefined;
      const open = name === undefined ? undefined : await files.open(name).catch(filesUnavailable);
      if (!open) throw notFound('COVER_NOT_FOUND', 'There is no such cover.');
      const read: OpenFile['read'] = (range) => open.read(range).catch(filesUnavailable);
      const image = { file: { ...open, read }, mediaType: mediaTypeOf(file), etag: `"${file}"` };
      return sendFile(request, reply, image);
    });
  };
