import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Attempt, GuessesUnder } from '../../../accounts/guesses.ts';
import { claimOf } from '../../places.ts';

/** A request that gives a password. */
export function attemptOf(
  request: FastifyRequest,
  reply: FastifyReply,
  guessesOf: (request: FastifyRequest) => GuessesUnder,
): Attempt {
  const { claim } = request;
  const session = claim?.sessionId === undefined ? undefined : { accountId: claim.id, sessionId: claim.sessionId };
  return { ...claimOf(reply), guesses: guessesOf(request), session };
}
