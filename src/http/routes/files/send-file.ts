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
  /** With its quotes. Files never change, so anything that names the file will do. */
  readonly etag: string;
  /** As it is called when it is saved. Without it the file is shown, and shared caches may keep it. */
  readonly name?: string;
}

/** Sends a file, or the one part of it that was asked for; 304 when the client has it, 416 for a part that it has not. */
export async function sendFile(request: FastifyRequest, reply: FastifyReply, representation: FileRepresentation) {
  const { file, mediaType, etag, name } = representation;
  const lasting = { etag, 'accept-ranges': 'bytes', 'cache-control': name === undefined ? FOR_ALL : FOR_ONE };
  if (isKnown(request.headers['if-none-match'], etag)) {
    await file.close();
    return reply
      .code(304)
      .headers({ ...lasting, ...INERT })
      .send();
  }
  const range = await rangeOf(request, representation);
  const { start, end } = range ?? { start: 0, end: file.size - 1 };
  // No header before the file is there to be read: an answer that it is not must not last.
  const bytes = request.method === 'HEAD' ? await unread(file) : await file.read(range);
  if (name !== undefined) reply.header('content-disposition', attachmentOf(name));
  if (range) reply.code(206).header('content-range', `bytes ${start}-${end}/${file.size}`);
  reply.headers({ ...lasting, ...INERT, 'content-type': mediaType, 'content-length': end - start + 1 });
  return reply.send(bytes);
}

/** Fastify leaves the length of a stream as it was said, and sends nothing of it. */
async function unread(file: OpenFile): Promise<Readable> {
  await file.close();
  return Readable.from([]);
}

/** A cache may keep a file, but has to ask each time whether it is still there: it may be deleted at any time. */
const FOR_ALL = 'no-cache';
const FOR_ONE = 'private, no-cache';

/** The bytes are shown as what we say, and nothing in them runs. Pages of other origins may show them. */
const INERT = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; sandbox",
  'cross-origin-resource-policy': 'cross-origin',
};

/** Of a file that is shorter than the last bytes that are asked for, all is meant (RFC 9110, 14.1.2); range-parser finds nothing. */
const withinFile = (ranges: string, size: number): string =>
  ranges
    .split(',')
    .map((range) => {
      const [, before = '', length] = /^(\w*=)?\s*-\s*(\d+)\s*$/.exec(range) ?? [];
      return Number(length) > size ? `${before}-${size}` : range;
    })
    .join(',');

/** Nothing where all is wanted: also for more than one range at once, and for a part of what the client has another of. */
async function rangeOf(
  { method, headers }: FastifyRequest,
  { file, etag }: FileRepresentation,
): Promise<ByteRange | undefined> {
  if (headers.range === undefined || method !== 'GET') return undefined;
  if (headers['if-range'] !== undefined && headers['if-range'] !== etag) return undefined;
  if (file.size === 0) return undefined; // has no part, and all of it is what is wanted
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
