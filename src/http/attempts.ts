import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Attempt, GuessesUnder } from '../accounts/guesses.ts';
import { senderOf } from './rate-limits.ts';

/** A request that gives a password. */
export function attemptOf(
  request: FastifyRequest,
  reply: FastifyReply,
  guessesOf: (request: FastifyRequest) => GuessesUnder,
): Attempt {
  const { claim } = request;
  const session = claim?.sessionId === undefined ? undefined : { accountId: claim.id, sessionId: claim.sessionId };
  return { sender: senderOf(request), signal: departureOf(reply), guesses: guessesOf(request), session };
}

/** Fires when the client has left. Fastify's own signal goes by the request, which closes once its body was read. */
function departureOf({ raw }: FastifyReply): AbortSignal {
  const left = new AbortController();
  if (raw.destroyed) left.abort();
  raw.once('close', () => left.abort());
  return left.signal;
}
