import type { onRequestHookHandler } from 'fastify';
import { HttpError } from './errors.ts';

const READS: readonly string[] = ['GET', 'HEAD', 'OPTIONS'];
/** Routes that change only accounts: a follower has its own accounts. */
const ACCOUNTS: readonly (string | undefined)[] = ['/users', '/authentications'];
/** The schema registry has no route that changes anything. Its clients send what they look for with POST. */
const REGISTRY = '/registry/';

/** Whether a follower refuses the route. */
export const isRefused = (method: string, url: string | undefined): boolean =>
  !READS.includes(method) && !ACCOUNTS.includes(url) && !url?.startsWith(REGISTRY);

/** For every route of a follower: the log belongs to another installation. */
export const refuseWrites: onRequestHookHandler = (request, _reply, next) => {
  if (isRefused(request.method, request.routeOptions.url)) next(readOnly());
  else next();
};

const readOnly = () =>
  new HttpError({
    status: 403,
    code: 'READ_ONLY',
    message: 'This server only follows the log of another one. Send changes there.',
  });
