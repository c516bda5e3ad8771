import { isUtf8 } from 'node:buffer';
import type { FastifyInstance } from 'fastify';
import { badInput, unsupportedMediaType } from './errors.ts';

/**
 * The only bodies there are: JSON in UTF-8, not nested deeper than `maxDepth`. An empty body is no body, whatever it
 * was declared as; a route that needs one misses it in its validation.
 */
export function acceptJsonBodies(app: FastifyInstance, maxDepth: number): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    done(null, body.length === 0 ? undefined : parse(body, maxDepth));
  });
  app.addContentTypeParser<Buffer>('*', { parseAs: 'buffer' }, (_request, body, done) => {
    if (body.length === 0) done(null);
    else done(unsupportedMediaType());
  });
}

function parse(body: Buffer, maxDepth: number): unknown {
  if (!isUtf8(body)) throw badInput('INVALID_ENCODING', 'The body is not valid UTF-8.');
  const value = parseJson(body.toString());
  if (isDeeper(value, maxDepth)) throw badInput('TOO_DEEP', `The body is nested deeper than ${maxDepth} levels.`);
  return value;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw badInput('INVALID_JSON', 'The body is not valid JSON.');
  }
}

/** A scalar has depth 0, an empty object or array 1. Never looks further than one level past the limit. */
function isDeeper(value: unknown, limit: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return limit === 0 || Object.values(value).some((inner) => isDeeper(inner, limit - 1));
}
