import { hash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { CommandOutcome, VersionCondition } from '../commands/command.ts';
import { AppError } from '../errors.ts';
import { JSON_TYPE } from './errors.ts';

/** What a read answers with, and the version of the stream it is a view of. */
export interface Representation {
  readonly version: number;
  readonly body: object;
}

/** 22 characters of base64url are 132 bits of the hash. */
const HASH_LENGTH = 22;

const tagOf = (version: number, payload: string): string =>
  `"${version}-${hash('sha256', payload, 'base64url').slice(0, HASH_LENGTH)}"`;

/** Sends a representation with its ETag, or 304 when the client has it already. */
export function sendTagged(request: FastifyRequest, reply: FastifyReply, { version, body }: Representation) {
  const payload = JSON.stringify(body);
  const tag = tagOf(version, payload);
  reply.header('etag', tag);
  if (isKnown(request.headers['if-none-match'], tag)) return reply.code(304).send();
  return reply.header('content-type', JSON_TYPE).send(payload);
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
  current: () => Promise<Representation | undefined>,
): Promise<CommandOutcome> {
  try {
    return await outcome;
  } catch (error) {
    if (error instanceof AppError && error.kind === 'stale') tagWith(reply, await current());
    throw error;
  }
}

function tagWith(reply: FastifyReply, representation: Representation | undefined): void {
  if (representation) reply.header('etag', tagOf(representation.version, JSON.stringify(representation.body)));
}
