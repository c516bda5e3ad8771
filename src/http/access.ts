import type { FastifyRequest, onRequestHookHandler, preHandlerHookHandler } from 'fastify';
import { forbidden } from '../errors.ts';
import { authenticationRequired } from './auth.ts';

/** Who may change albums and songs. */
export type CatalogWrites = 'open' | 'authenticated' | 'admin';

export interface CatalogAccess {
  /** Stands before every route that changes the catalog: whoever is nobody is refused before the body is looked at. */
  readonly onRequest: onRequestHookHandler;
  /** Comes after the payload was judged. What `mustExist` misses is told before that it is not allowed. */
  mustBeAllowed(request: FastifyRequest, mustExist?: () => Promise<unknown>): Promise<void>;
}

export const catalogAccess = (writes: CatalogWrites): CatalogAccess => ({
  onRequest({ account }, _reply, next) {
    if (writes === 'open' || account) next();
    else next(authenticationRequired());
  },
  async mustBeAllowed(request, mustExist) {
    if (writes !== 'admin' || isAdmin(request)) return;
    await mustExist?.();
    throw forbidden('Only admins change the catalog.');
  },
});

export const isAdmin = ({ account }: FastifyRequest): boolean => account?.role === 'admin';

/** Stands before the routes of admins, after the payload was judged. Nobody else hears what there is. */
export const mustBeAdmin: preHandlerHookHandler = (request, _reply, next) => {
  if (isAdmin(request)) next();
  else next(forbidden('Only admins may do this.'));
};
