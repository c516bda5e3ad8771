import type { FastifyRequest, onRequestHookHandler } from 'fastify';
import { HttpError } from './errors.ts';

/** Who may change albums and songs. */
export type CatalogWrites = 'open' | 'authenticated' | 'admin';

/** The account id of whoever sends a request. The place where a verified access token will say so. */
export const callerOf = (_request: FastifyRequest): string => 'anonymous';

/** Stands before every route that changes the catalog. A caller who is nobody passes only an open one. */
export const mayWriteCatalog =
  (writes: CatalogWrites): onRequestHookHandler =>
  (request, _reply, next) => {
    if (writes === 'open' || callerOf(request) !== 'anonymous') next();
    else next(authenticationRequired());
  };

const authenticationRequired = () =>
  new HttpError({
    status: 401,
    code: 'AUTHENTICATION_REQUIRED',
    message: 'Please log in first.',
    headers: { 'www-authenticate': 'Bearer' },
  });
