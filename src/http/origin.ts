import { createHmac } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type CommandOrigin, type CommandOutcome, originWithoutBody } from '../commands/command.ts';
import { commandIdOf, newId } from '../events/ids.ts';
import { callerOf } from './auth.ts';
import { pathOf } from './request-target.ts';
import { invalidInput } from './validation.ts';

/** Keys of the hash that shows whether a repeated command has the same body; both at least 32 bytes. */
export interface IdempotencyKeys {
  readonly current: string;
  readonly previous?: string;
}

/** The sender of a command, and the id that identifies it when it is repeated. `body` is the validated body, if any. */
export function originOf(request: FastifyRequest, keys: IdempotencyKeys, body?: object): CommandOrigin {
  const key = request.headers['idempotency-key'];
  const actor = callerOf(request);
  const sender = { actor, correlationId: request.id };
  if (typeof key !== 'string') {
    return originWithoutBody({ ...sender, commandId: newId(), repeatable: false });
  }
  if (!request.account && key.length < ANONYMOUS_KEY_LENGTH) throw keyTooShort();
  const commandId = commandIdOf(actor, request.method, canonicalPath(request.url), key);
  return { ...sender, commandId, repeatable: true, ...hashesOf(body, keys) };
}

/** 128 random bits as base64url. Callers without a login share one key space, in which shorter keys could collide. */
const ANONYMOUS_KEY_LENGTH = 22;

const keyTooShort = () =>
  invalidInput([
    {
      path: '/idempotency-key',
      message:
        `must have at least ${ANONYMOUS_KEY_LENGTH} characters when you are not logged in, such as a random UUID: ` +
        'with a short key you could get the answer to another caller’s request',
    },
  ]);

/** The same command with an id that is derived from its subject, so that it is recognised without an idempotency key too. */
export const derivedOrigin = (
  origin: CommandOrigin,
  commandId: string,
  keys: IdempotencyKeys,
  body: object,
): CommandOrigin => ({
  ...origin,
  commandId,
  repeatable: true,
  ...hashesOf(body, keys),
});

function hashesOf(body: object | undefined, { current, previous }: IdempotencyKeys) {
  const text = body === undefined ? '' : canonicalJson(body);
  const hash = (key: string) => createHmac('sha256', key).update(text).digest('base64url');
  return { bodyHash: hash(current), olderBodyHashes: previous === undefined ? [] : [hash(previous)] };
}

/** The canonical form of a path: without query, each segment encoded as by encodeURIComponent. */
function canonicalPath(url: string): string {
  return pathOf(url)
    .split('/')
    .map((segment) => encodeURIComponent(decodeURIComponent(segment)))
    .join('/');
}

/** The canonical form of a JSON value: keys sorted, no blanks. */
function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  const sorted = fields.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${sorted.map(([name, field]) => `${JSON.stringify(name)}:${canonicalJson(field)}`).join(',')}}`;
}

/** Marks the answer to a repeated command. */
export function markReplay(reply: FastifyReply, { replayed }: CommandOutcome): void {
  if (replayed) reply.header('idempotency-replayed', 'true');
}
