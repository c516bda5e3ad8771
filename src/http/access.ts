import type { onRequestHookHandler } from 'fastify';
import { HttpError } from './errors.ts';

/** Who may change albums and songs. */
export type CatalogWrites = 'open' | 'authenticated' | 'admin';

/** The account id of whoever sends a request. Nobody can log in yet: the place where an access token will say so. */
export const callerOf = (): string => 'anonymous';

/** Stands before every route that changes the catalog: a catalog that is not open is closed to the anonymous. */
export const mayWriteCatalog =
  (writes: CatalogWrites): onRequestHookHandler =>
  (_request, _reply, next) => {
    if (writes === 'open') next();
    else next(authenticationRequired());
  };

const authenticationRequired = () =>
  new HttpError({
    status: 401,
    code: 'AUTHENTICATION_REQUIRED',
    message: 'Please log in first.',
    headers: { 'www-authenticate': 'Bearer' },
  });
