import type { FastifyReply } from 'fastify';
import { unavailable } from '../errors.ts';
import type { PlaceRequest, Places } from '../concurrency/places.ts';
import { callerOf } from './auth.ts';
import { networkOf, senderOf } from './rate-limits.ts';

const RETRY_AFTER_SECONDS = 10;

/** Makes the error for a client that gets no place. */
export const tooManyAtOnce = (message: string) => () =>
  unavailable('TOO_MANY_AT_ONCE', message, undefined, RETRY_AFTER_SECONDS);

/** A claim of the client's address, which ends when its answer was sent. */
export const claimOf = (reply: FastifyReply): PlaceRequest => ({
  sender: senderOf(reply.request),
  network: networkOf(reply.request),
  signal: departureOf(reply),
  mustWait: () => reply.raw.headersSent,
});

/** The same for an account, from any address. */
export const accountClaim = (reply: FastifyReply): PlaceRequest => ({
  ...claimOf(reply),
  sender: callerOf(reply.request),
  network: undefined,
});

/** Reason of the signals. Without one each signal creates an error with a stack: 4 % of the time of `GET /songs`. */
const OVER = 'over';

/** Fires when the answer was sent or the client disconnected. Fastify's own signal follows the request, which closes once its body was read. */
function departureOf({ raw }: FastifyReply): AbortSignal {
  const left = new AbortController();
  if (raw.destroyed) left.abort(OVER);
  raw.once('close', () => left.abort(OVER));
  return left.signal;
}

/** Takes a place until the answer was sent or the client disconnected. */
export async function placeFor(places: Places, claim: PlaceRequest): Promise<void> {
  const leave = await places.take(claim);
  if (claim.signal?.aborted) leave();
  claim.signal?.addEventListener('abort', leave);
}
