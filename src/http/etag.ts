import { hash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Answer } from '../cache/cache.ts';
import type { CommandOutcome, VersionCondition } from '../commands/command.ts';
import { AppError } from '../errors.ts';
import { newId } from '../events/ids.ts';
import { JSON_TYPE } from './errors.ts';

/** 22 characters of base64url are 132 bits of the hash. */
const HASH_LENGTH = 22;

/** An answer with an ETag, made of the version of the stream that it is a view of. */
export function tagged(version: number, content: object): Answer {
  const body = JSON.stringify(content);
  return { body, etag: etagOf(version, body) };
}

export const etagOf = (version: number, body: string): string =>
  `"${version}-${hash('sha256', body, 'base64url').slice(0, HASH_LENGTH)}"`;

/** Of an answer that was not seen as a whole. Its version holds in `If-Match`, and no later answer is taken for the same. */
export const uniqueEtag = (version: number): string => `"${version}-${newId()}"`;

/** Sends an answer, or 304 when the client has it already. */
export function sendAnswer(request: FastifyRequest, reply: FastifyReply, { body, etag }: Answer) {
  if (etag !== undefined) {
    reply.header('etag', etag);
    if (isKnown(request.headers['if-none-match'], etag)) return reply.code(304).send();
  }
  return reply.header('content-type', JSON_TYPE).send(body);
}

/** Weak comparison: `W/` does not matter. */
export function isKnown(condition: string | undefined, tag: string): boolean {
  if (condition === undefined) return false;
  return condition.trim() === '*' || tagsIn(condition).some(({ opaque }) => opaque === tag);
}

function tagsIn(list: string): { weak: boolean; opaque: string }[] {
  return Array.from(list.matchAll(/(W\/)?("[^"]*")/g), ([, weak, opaque = '']) => ({
    weak: weak !== undefined,
    opaque,
  }));
}

/** The versions that `If-Match` insists on. A weak or malformed tag matches nothing. */
export function expectedVersion(request: FastifyRequest): VersionCondition | undefined {
  const condition = request.headers['if-match'];
  if (condition === undefined) return undefined;
  if (condition.trim() === '*') return 'any';
  return tagsIn(condition).flatMap(({ weak, opaque }) => {
    const version = weak ? undefined : /^"([1-9]\d{0,9})-[\w-]+"$/.exec(opaque)?.[1];
    return version === undefined ? [] : [Number(version)];
  });
}

/** Waits for a conditional command. A 412 carries the ETag that would hold now. */
export async function conditionally(
  reply: FastifyReply,
  outcome: Promise<CommandOutcome>,
  current: () => Promise<Answer | undefined>,
): Promise<CommandOutcome> {
  try {
    return await outcome;
  } catch (error) {
    const now = error instanceof AppError && error.kind === 'stale' ? await current() : undefined;
    if (now?.etag !== undefined) reply.header('etag', now.etag);
    throw error;
  }
}
