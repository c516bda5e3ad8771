import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import parseRange from 'range-parser';
import { attachmentOf } from '../../../providers/files/disposition.ts';
import type { ByteRange, OpenFile } from '../../../providers/files/files.ts';
import { HttpError } from '../../errors.ts';
import { isKnown } from '../../etag.ts';

export interface FileRepresentation {
  readonly file: OpenFile;
  readonly mediaType: string;
  /** With its quotes. Files never change, so any name of the file works. */
  readonly etag: string;
  /** Name for saving. Without it the file is shown inline, and shared caches may store it. */
  readonly name?: string;
}

/** Sends a file, or the requested range of it; 304 when the client has it, 416 when the file has no such range. */
export async function sendFile(request: FastifyRequest, reply: FastifyReply, representation: FileRepresentation) {
  const { file, mediaType, etag, name } = representation;
  const caching = { etag, 'accept-ranges': 'bytes', 'cache-control': name === undefined ? FOR_ALL : FOR_ONE };
  if (isKnown(request.headers['if-none-match'], etag)) {
    await file.close();
    return reply
      .code(304)
      .headers({ ...caching, ...INERT })
      .send();
  }
  const range = await rangeOf(request, representation);
  const { start, end } = range ?? { start: 0, end: file.size - 1 };
  // Sets no caching header before the file was opened for reading, so that an error answer is not cached.
  const bytes = request.method === 'HEAD' ? await unread(file) : await file.read(range);
  if (name !== undefined) reply.header('content-disposition', attachmentOf(name));
  if (range) reply.code(206).header('content-range', `bytes ${start}-${end}/${file.size}`);
  reply.headers({ ...caching, ...INERT, 'content-type': mediaType, 'content-length': end - start + 1 });
  return reply.send(bytes);
}

/** The body of a HEAD answer: Fastify keeps the given length of a stream and sends no bytes of it. */
async function unread(file: OpenFile): Promise<Readable> {
  await file.close();
  return Readable.from([]);
}

/** A cache may store a file but must revalidate it each time, because the file may be deleted at any time. */
const FOR_ALL = 'no-cache';
const FOR_ONE = 'private, no-cache';

/** Browsers use our media type and run no scripts of the file. Pages of other origins may embed it. */
const INERT = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; sandbox",
  'cross-origin-resource-policy': 'cross-origin',
};

/** A suffix range longer than the file means the whole file (RFC 9110, 14.1.2), but range-parser refuses it, so it is shortened. */
const withinFile = (ranges: string, size: number): string =>
  ranges
    .split(',')
    .map((range) => {
      const [, before = '', length] = /^(\w*=)?\s*-\s*(\d+)\s*$/.exec(range) ?? [];
      return Number(length) > size ? `${before}-${size}` : range;
    })
    .join(',');

/** The requested range; undefined for the whole file: also for several ranges, and when `If-Range` names another file. */
async function rangeOf(
  { method, headers }: FastifyRequest,
  { file, etag }: FileRepresentation,
): Promise<ByteRange | undefined> {
  if (headers.range === undefined || method !== 'GET') return undefined;
  if (headers['if-range'] !== undefined && headers['if-range'] !== etag) return undefined;
  if (file.size === 0) return undefined; // an empty file has no range, so it is sent whole
  const ranges = parseRange(file.size, withinFile(headers.range, file.size), { combine: true });
  if (ranges === -1) {
    await file.close();
    throw new HttpError({
      status: 416,
      code: 'RANGE_NOT_SATISFIABLE',
      message: 'The file has no such part.',
      headers: { 'content-range': `bytes */${file.size}` },
    });
  }
  if (ranges === -2 || ranges.type.toLowerCase() !== 'bytes' || ranges.length !== 1) return undefined;
  return ranges[0];
}
