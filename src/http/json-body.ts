import { isUtf8 } from 'node:buffer';
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { badInput, unsupportedEncoding, unsupportedMediaType } from './errors.ts';

/** Limits of every JSON body. */
export interface JsonLimits {
  /** A scalar has depth 0, an empty object or list 1. */
  readonly bodyDepth: number;
  /** Fields of each object in it. */
  readonly bodyFields: number;
}

/**
 * Accepts only uncompressed JSON in UTF-8 within the limits. An empty body of any media type counts as no body, and a route that
 * requires one reports it in its validation.
 */
export function acceptJsonBodies(app: FastifyInstance, limits: JsonLimits): void {
  app.addHook('preParsing', ({ method, headers }, _reply, payload, next) => {
    // Fastify does not read bodies of these methods.
    const isUnread = method === 'GET' || method === 'HEAD';
    if (!isUnread && isEncoded(headers)) next(unsupportedEncoding());
    else next(null, payload);
  });
  app.removeAllContentTypeParsers();
  acceptJsonOf(app, 'application/json', limits);
  app.addContentTypeParser<Buffer>('*', { parseAs: 'buffer' }, (_request, body, done) => {
    if (body.length === 0) done(null);
    else done(unsupportedMediaType());
  });
}

/** Accepts JSON of another media type too, in the scope of `app`. */
export function acceptJsonOf(app: FastifyInstance, mediaType: string, limits: JsonLimits): void {
  app.addContentTypeParser<Buffer>(mediaType, { parseAs: 'buffer' }, (_request, sent, done) => {
    const body = withoutMark(sent);
    done(null, body.length === 0 ? undefined : parse(body, limits));
  });
}

/** Whether there is a body with a content encoding. */
function isEncoded(headers: IncomingHttpHeaders): boolean {
  const codings = headers['content-encoding']?.split(',').map((coding) => coding.trim().toLowerCase()) ?? [];
  if (codings.every((coding) => coding === '' || coding === 'identity')) return false;
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

const BYTE_ORDER_MARK = Buffer.from('\uFEFF');

/** Some programs write the mark before every text. A parser may ignore it (RFC 8259, 8.1). */
const withoutMark = (body: Buffer): Buffer =>
  body.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK) ? body.subarray(BYTE_ORDER_MARK.length) : body;

function parse(body: Buffer, limits: JsonLimits): unknown {
  if (!isUtf8(body)) throw badInput('INVALID_ENCODING', 'The body is not valid UTF-8.');
  mustBeWithin(body, limits);
  return parseJson(body.toString());
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw badInput('INVALID_JSON', 'The body is not valid JSON.');
  }
}

const [QUOTE, BACKSLASH, COLON] = [0x22, 0x5c, 0x3a];
const [OBJECT, LIST, END_OF_OBJECT, END_OF_LIST] = [0x7b, 0x5b, 0x7d, 0x5d];

/**
 * Counts levels and fields in one pass over the bytes, because parsing first can take seconds. In UTF-8 these bytes are never part
 * of another character. Invalid JSON may pass here: the parser refuses it.
 */
export function mustBeWithin(body: Uint8Array, { bodyDepth, bodyFields }: JsonLimits): void {
  const fields = new Array<number>(bodyDepth + 1).fill(0);
  let level = 0;
  for (let at = 0; at < body.length; at++) {
    const byte = body[at];
    if (byte === QUOTE) at = endOfString(body, at);
    else if (byte === OBJECT || byte === LIST) {
      if (++level > bodyDepth) throw badInput('TOO_DEEP', `The body is nested deeper than ${bodyDepth} levels.`);
      fields[level] = 0;
    } else if (byte === END_OF_OBJECT || byte === END_OF_LIST) level = Math.max(0, level - 1);
    else if (byte === COLON && (fields[level] = (fields[level] ?? 0) + 1) > bodyFields)
      throw badInput('TOO_MANY_FIELDS', `An object in the body has more than ${bodyFields} fields.`);
  }
}

/** The index of the closing quote of the string that begins at `start`. */
function endOfString(body: Uint8Array, start: number): number {
  let at = start + 1;
  while (at < body.length && body[at] !== QUOTE) at += body[at] === BACKSLASH ? 2 : 1;
  return at;
}
