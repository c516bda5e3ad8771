import type { onRequestHookHandler } from 'fastify';
import { forbidden } from '../errors.ts';
import { authenticationRequired } from './auth.ts';

/** Who may change albums and songs. */
export type CatalogWrites = 'open' | 'authenticated' | 'admin';

/** Stands before every route that changes the catalog. */
export const mayWriteCatalog =
  (writes: CatalogWrites): onRequestHookHandler =>
  ({ account }, _reply, next) => {
    if (writes === 'open') next();
    else if (!account) next(authenticationRequired());
    else if (writes === 'admin' && account.role !== 'admin') next(forbidden('Only admins change the catalog.'));
    else next();
  };
