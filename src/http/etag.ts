import { hash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { CachedResponse } from '../cache/cache.ts';
import type { CommandOutcome, VersionCondition } from '../commands/command.ts';
import { AppError } from '../errors.ts';
import { newId } from '../events/ids.ts';
import { JSON_TYPE } from './errors.ts';

/** 22 characters of base64url are 132 bits of the hash. */
const HASH_LENGTH = 22;

/** An answer with an ETag that begins with the version of its stream. */
export function tagged(version: number, content: object): CachedResponse {
  const body = JSON.stringify(content);
  return { body, etag: etagOf(version, body) };
}

export const etagOf = (version: number, body: string): string =>
  `"${version}-${hash('sha256', body, 'base64url').slice(0, HASH_LENGTH)}"`;

/** The ETag of an answer that is sent in pieces. Its version works in `If-Match`, and it never equals the ETag of a later answer. */
export const uniqueEtag = (version: number): string => `"${version}-${newId()}"`;

/** Sends an answer, or 304 when the client has it already. */
export function sendAnswer(request: FastifyRequest, reply: FastifyReply, { body, etag }: CachedResponse) {
  if (etag !== undefined) {
    reply.header('etag', etag);
    if (isKnown(request.headers['if-none-match'], etag)) return reply.code(304).send();
  }
  return reply.header('content-type', JSON_TYPE).send(body);
}

/** Whether the client has this ETag. Weak comparison: `W/` does not matter. */
export function isKnown(condition: string | undefined, tag: string): boolean {
  if (condition === undefined) return false;
  return condition.trim() === '*' || tagsIn(condition).some(({ opaque }) => opaque === tag);
}

/** An entity tag of a list, and what separates it from the next (RFC 9110, 8.8.3 and 5.6.1). */
const ELEMENT = /[\t ,]*(?:(W\/)?("[\x21\x23-\x7e\x80-\xff]*")[\t ]*(?:,|$)|$)/y;

/** The tags of a list; none when the list is malformed. */
function tagsIn(list: string): { weak: boolean; opaque: string }[] {
  const tags: { weak: boolean; opaque: string }[] = [];
  ELEMENT.lastIndex = 0;
  while (ELEMENT.lastIndex < list.length) {
    const [, weak, opaque] = ELEMENT.exec(list) ?? ['malformed'];
    if (ELEMENT.lastIndex === 0) return [];
    if (opaque !== undefined) tags.push({ weak: weak !== undefined, opaque });
  }
  return tags;
}

/** A version, and the rest of an ETag of this API. A proxy that compresses may have added a suffix. */
const OURS = /^"([1-9]\d{0,9})-[\w-]{22,64}"$/;

/** The versions that `If-Match` requires. A weak, malformed or foreign tag matches no version. */
export function expectedVersion(request: FastifyRequest): VersionCondition | undefined {
  const condition = request.headers['if-match'];
  if (condition === undefined) return undefined;
  if (condition.trim() === '*') return 'any';
  return tagsIn(condition).flatMap(({ weak, opaque }) => {
    const version = weak ? undefined : OURS.exec(opaque)?.[1];
    return version === undefined ? [] : [Number(version)];
  });
}

/** Waits for a conditional command. A 412 gets the current ETag as a header. */
export async function conditionally(
  reply: FastifyReply,
  outcome: Promise<CommandOutcome>,
  current: () => Promise<CachedResponse | undefined>,
): Promise<CommandOutcome> {
  try {
    return await outcome;
  } catch (error) {
    const now = error instanceof AppError && error.kind === 'stale' ? await current() : undefined;
    if (now?.etag !== undefined) reply.header('etag', now.etag);
    throw error;
  }
}
