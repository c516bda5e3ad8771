import { hash } from 'node:crypto';
import multipart from '@fastify/multipart';
import type { FastifyInstance, FastifyRequest, onRequestAsyncHookHandler } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { notFound } from '../../../errors.ts';
import { commandIdOf } from '../../../events/ids.ts';
import { coversAmong } from '../../../projections/albums.ts';
import { filesUnavailable } from '../../../providers/files/failure.ts';
import type { StoredFiles } from '../../../jobs/stored-files.ts';
import type { Files, OpenFile } from '../../../providers/files/files.ts';
import { REQUEST_LENGTH } from '../../../text.ts';
import { catalogAccess, isAdmin } from '../../access.ts';
import { conditionally, expectedVersion } from '../../etag.ts';
import { limitCovers, limitFiles } from '../../body-places.ts';
import { imageTypeOf, mediaTypeOf } from './images.ts';
import { answer, failures } from '../../openapi.ts';
import { markReplay, originOf } from '../../origin.ts';
import { sendFile } from '../files/send-file.ts';
import { changeHeaders, done, params } from '../../schemas.ts';
import { limited, type Rates } from '../../rate-limits.ts';
import { fileOf } from './upload.ts';
import { validatorCompiler } from '../../validation.ts';
import { albumMustExist, type CatalogDependencies, representAlbum, streamOf } from './albums.ts';

export interface CoverDependencies extends CatalogDependencies {
  readonly files: Pick<Files, 'put' | 'open'>;
  readonly stored: Pick<StoredFiles, 'claim' | 'forget'>;
  /** Limit of cover changes, for one account, or for one address without a login. */
  readonly rates: Pick<Rates, 'covers'>;
}

const MAX_BYTES = 512_000;
/** Prefix of the names of all covers. */
export const COVERS = 'covers/';

const form = z.object({
  cover: z.file().meta({ description: 'PNG, JPEG, GIF, WebP or AVIF, at most 512,000 bytes.' }),
});
const fileParams = z.object({
  file: z.string().max(REQUEST_LENGTH).meta({ description: 'The last segment of `coverUrl` of the album.' }),
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
      ...failures(400, 401, 403, 404, 409, 412, 413, 415, 422, 429, 503),
    },
  },
  read: {
    tags: ['albums'],
    operationId: 'readCover',
    summary: 'See a cover',
    description: '404 as soon as the album has another cover or is deleted.',
    params: fileParams,
    response: {
      200: { description: 'The image.', content: { 'image/*': { schema: z.file() } } },
      206: { description: 'The requested range.', content: { 'image/*': { schema: z.file() } } },
      304: z.null().meta({ description: 'The client has it already.' }),
      ...failures(404, 416, 503),
    },
  },
};

export const coverRoutes =
  (deps: CoverDependencies): FastifyPluginAsyncZod =>
  async (app) => {
    const { commands, idempotencyKeys, files, stored } = deps;
    const { onRequest: mayWrite, mustBeAllowed } = catalogAccess(deps.catalogWrites);
    const rate = deps.rates.covers;
    const ofAddress = limited(app, 'covers', rate).map(withoutLogin);
    const ofAccount = limited(app, 'account-covers', rate, userOf);
    const onRequest = [mayWrite, ...ofAddress, ...ofAccount, limitCovers()];
    await app.register(multipart);
    // The handler reads the form, so there is no object to validate before.
    app.setValidatorCompiler<z.ZodType>((part) => (part.httpPart === 'body' ? () => true : validatorCompiler(part)));

    /** Stores the file before the event that names it. When the command fails, the clean-up deletes the file later: here the outcome is unknown. */
    async function keep({ account }: FastifyRequest, { file: name, bytes, mediaType }: Cover): Promise<void> {
      if (account) await stored.claim({ name, account: account.id, bytes: bytes.length });
      await files.put(name, bytes, mediaType).catch(async (error: unknown) => {
        await stored.forget([name]).catch(() => undefined); // a file that was not stored uses no quota
        return filesUnavailable(error);
      });
    }

    app.post('/albums/:id/covers', { schema: schemas.upload, onRequest }, async (request, reply) => {
      const bytes = await fileOf(request, 'cover', { bytes: MAX_BYTES });
      const { extension, mediaType } = imageTypeOf(bytes);
      const stream = streamOf(request.params.id);
      const mustExist = () => albumMustExist(deps, stream);
      await mustBeAllowed(request, mustExist);
      const content = hash('sha256', bytes, 'base64url');
      const origin = originOf(request, idempotencyKeys, { cover: content });
      // The name derives from command and image, so that a retry stores the same file.
      const file = `${COVERS}${commandIdOf('cover', origin.commandId, content)}.${extension}`;
      const command = { type: 'ChangeCover', cover: { file, mediaType, size: bytes.length } } as const;
      const condition = expectedVersion(request);
      // Called for new commands only: a repeated command is answered without it, even if the album has changed since.
      const context = async () => {
        await mustExist();
        return undefined;
      };
      const prepare = async () => {
        await keep(request, { file, bytes, mediaType });
        return command;
      };
      const sent = commands.album({ stream, command: prepare, origin, expectedVersion: condition, context });
      markReplay(reply, await conditionally(reply, sent, () => representAlbum(deps, stream)));
      return reply.code(201).send({ status: 'success', message: 'The cover was changed.' });
    });

    app.get('/covers/:file', { schema: schemas.read, onRequest: limitFiles() }, async (request, reply) => {
      const { file } = request.params;
      const name = /^[\da-f-]{36}\.[a-z]{3,4}$/.test(file) ? COVERS + file : undefined;
      const open = name === undefined ? undefined : await openCover(deps, name);
      if (!open) throw notFound('COVER_NOT_FOUND', 'There is no such cover.');
      const read: OpenFile['read'] = (range) => open.read(range).catch(filesUnavailable);
      const image = { file: { ...open, read }, mediaType: mediaTypeOf(file), etag: `"${file}"` };
      return sendFile(request, reply, image);
    });
  };

/** Undefined for a file that is not the current cover of an album, though it may still be stored. */
async function openCover({ database, files }: CoverDependencies, name: string): Promise<OpenFile | undefined> {
  const current = await coversAmong(database, [name]);
  return current.has(name) ? files.open(name).catch(filesUnavailable) : undefined;
}

interface Cover {
  readonly file: string;
  readonly bytes: Buffer;
  readonly mediaType: string;
}

/** The account to count; none for admins, because they upload whole catalogs. */
const userOf = (request: FastifyRequest) => (isAdmin(request) ? undefined : request.account?.id);

const withoutLogin = (limit: onRequestAsyncHookHandler): onRequestAsyncHookHandler =>
  async function (this: FastifyInstance, request, reply) {
    if (!request.account) await limit.call(this, request, reply);
  };
