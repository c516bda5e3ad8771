import type { IncomingMessage } from 'node:http';
import { finished } from 'node:stream/promises';
import type { FastifyRequest } from 'fastify';
import { badInput, HttpError } from '../../errors.ts';

export interface UploadLimits {
  /** Bytes of the file. */
  readonly bytes: number;
}

/**
 * Reads the only file of a form into memory, never to disk, and never more than the limit. The name and type that the client sends
 * are ignored.
 */
export async function fileOf(request: FastifyRequest, field: string, { bytes }: UploadLimits): Promise<Buffer> {
  if (!request.isMultipart()) {
    throw new HttpError({
      status: 415,
      code: 'UNSUPPORTED_MEDIA_TYPE',
      message: 'The body must be multipart/form-data.',
    });
  }
  try {
    const [file] = await Promise.allSettled([onlyFile(request, field, bytes)]);
    const isWhole = await readToEnd(request.raw);
    if (file.status === 'rejected') throw file.reason;
    // A request that was answered with a timeout must not be carried out.
    if (!isWhole) throw new Error('The form is incomplete.');
    return file.value;
  } catch (error) {
    throw problemOf(error, bytes);
  }
}

async function onlyFile(request: FastifyRequest, field: string, bytes: number): Promise<Buffer> {
  let found: Buffer | undefined;
  // One more of each than allowed, so that the message below can name the field.
  const limits = { fileSize: bytes, files: 2, fields: 2, parts: 2, fieldSize: 100, headerPairs: 20, headerSize: 8_192 };
  for await (const part of request.parts({ limits })) {
    if (part.fieldname !== field || part.type !== 'file' || found) {
      if (part.type === 'file') part.file.destroy();
      throw badInput('VALIDATION_FAILED', `The form must have one file in the field ${field}, and nothing else.`);
    }
    found = await part.toBuffer();
  }
  if (!found)
    throw badInput('VALIDATION_FAILED', `${field} is required.`, [{ path: `/${field}`, message: 'is required' }]);
  return found;
}

/**
 * Discards the rest of the body. Many clients read the answer only after they have sent everything, and the connection cannot be
 * used for another request before. Resolves to false when the body does not end in time; rejects when the client disconnects.
 */
async function readToEnd(body: IncomingMessage): Promise<boolean> {
  body.unpipe();
  body.resume();
  const signal = AbortSignal.timeout(REST_WITHIN_MS);
  return finished(body, { signal }).then(
    () => true,
    (error: unknown) => {
      if (!signal.aborted) throw error;
      return false;
    },
  );
}

/** Time for the rest of a body. A slower client is disconnected soon after the answer. */
const REST_WITHIN_MS = 5_000;

/** Translates the errors of @fastify/multipart and busboy for forms that are too large or malformed. */
function problemOf(error: unknown, bytes: number): unknown {
  if (!(error instanceof Error) || error instanceof HttpError) return error;
  const code = 'code' in error ? error.code : undefined;
  if (code === 'FST_REQ_FILE_TOO_LARGE') {
    return new HttpError({ status: 413, code: 'BODY_TOO_LARGE', message: `The file is larger than ${bytes} bytes.` });
  }
  return badInput('INVALID_FORM', 'The form cannot be read.');
}
