import type { FastifyRequest, onRequestHookHandler, preHandlerHookHandler } from 'fastify';
import { adminsOnly } from '../errors.ts';
import { authenticationRequired } from './auth.ts';

/** Who may change albums and songs. */
export type CatalogWrites = 'open' | 'authenticated' | 'admin';

export interface CatalogAccess {
  /** For every route that changes the catalog: refuses a request without a login before its body is read. */
  readonly onRequest: onRequestHookHandler;
  /** For use after the payload was validated. `mustExist` runs before the refusal, so that a missing thing is 404 and not 403. */
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
    throw adminsOnly('change the catalog');
  },
});

export const isAdmin = ({ account }: FastifyRequest): boolean => account?.role === 'admin';

/** For the routes of admins: runs after the payload was validated and before anything is looked up, so that others learn nothing. */
export const mustBeAdmin: preHandlerHookHandler = (request, _reply, next) => {
  if (isAdmin(request)) next();
  else next(adminsOnly('do this'));
};
