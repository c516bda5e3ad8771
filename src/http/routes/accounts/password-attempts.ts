import type { FastifyReply, FastifyRequest } from 'fastify';
import type { PasswordAttempt, GuessesUnder } from '../../../accounts/guesses.ts';
import { claimOf } from '../../places.ts';

/** The attempt that a request with a password makes. */
export function passwordAttemptOf(
  request: FastifyRequest,
  reply: FastifyReply,
  guessesOf: (request: FastifyRequest) => GuessesUnder,
): PasswordAttempt {
  const { claim } = request;
  const session = claim?.sessionId === undefined ? undefined : { accountId: claim.id, sessionId: claim.sessionId };
  return { ...claimOf(reply), guesses: guessesOf(request), session };
}
