import jwt from '@fastify/jwt';
import type { FastifyInstance, FastifyRequest, onRequestHookHandler } from 'fastify';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { type Account, role } from '../accounts/accounts.ts';
import { newId } from '../events/ids.ts';
import { HttpError } from './errors.ts';

declare module '@fastify/jwt' {
  interface FastifyJWT {
    namespaces: Namespace;
  }
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Whoever sends it; undefined without a good access token. */
    account: Account | undefined;
  }
}

type Kind = 'access' | 'refresh';
/** In whose name commands of the command line speak. No account has this id. */
export const OPERATOR = { id: 'system', role: 'admin' } as const;

/** Tokens under an older key are still verified, in a namespace of their own. */
type Namespace = Kind | `former-${Kind}`;

export interface TokenSettings {
  /** At least 32 bytes, and another one for each kind. */
  readonly key: string;
  readonly previousKey?: string;
  /** Seconds. */
  readonly age: number;
}

export type TokenOptions = Readonly<Record<Kind, TokenSettings>>;

export interface Tokens {
  issue(kind: Kind, account: Account): string;
  /** Undefined for a token that is malformed, forged, expired or of the other kind. */
  verify(kind: Kind, token: string): Account | undefined;
}

/** Two kinds of tokens with keys of their own, so that neither passes for the other. Registers before the routes. */
export function acceptTokens(app: FastifyInstance, options: TokenOptions): Tokens {
  for (const kind of ['access', 'refresh'] as const) {
    const { key, previousKey, age } = options[kind];
    register(app, kind, kind, key, age);
    if (previousKey !== undefined) register(app, `former-${kind}`, kind, previousKey, age);
  }
  const tokens = tokensOf(app, options);
  app.decorateRequest('account', undefined);
  app.addHook('onRequest', (request, _reply, next) => {
    const token = bearerOf(request);
    if (token !== undefined) request.account = tokens.verify('access', token);
    next();
  });
  return tokens;
}

function register(app: FastifyInstance, namespace: Namespace, kind: Kind, key: string, age: number): void {
  app.register(jwt, {
    namespace,
    secret: Buffer.from(key),
    sign: { algorithm: 'HS256', expiresIn: age, aud: kind },
    verify: { algorithms: ['HS256'], allowedAud: kind, requiredClaims: ['exp', 'iat', 'sub', 'jti', 'aud'] },
  });
}

const claims = z.object({
  sub: z.string().min(1),
  role,
  /** Seconds since the epoch. */
  exp: z.int(),
});

const REMEMBERED = 10_000;

function tokensOf(app: FastifyInstance, options: TokenOptions): Tokens {
  /** Access tokens that were verified, until they expire: a look-up costs a hundredth of a verification. */
  const known = new LRUCache<string, { readonly account: Account; readonly expires: number }>({ max: REMEMBERED });

  function read(kind: Kind, token: string) {
    const namespaces: Namespace[] = options[kind].previousKey === undefined ? [kind] : [kind, `former-${kind}`];
    for (const namespace of namespaces) {
      try {
        const { sub: id, role, exp } = claims.parse(app.jwt[namespace].verify(token));
        return { account: { id, role }, expires: exp * 1_000 };
      } catch {
        // of the other key, or of none
      }
    }
    return undefined;
  }

  return {
    issue: (kind, { id, role }) => app.jwt[kind].sign({ sub: id, role, jti: newId() }),
    verify(kind, token) {
      if (kind === 'refresh') return read(kind, token)?.account;
      const remembered = known.get(token);
      const entry = remembered ?? read(kind, token);
      if (!entry || entry.expires <= Date.now()) return undefined;
      if (!remembered) known.set(token, entry);
      return entry.account;
    },
  };
}

function bearerOf({ headers }: FastifyRequest): string | undefined {
  return /^Bearer +([\w-]+\.[\w-]+\.[\w-]+) *$/i.exec(headers.authorization ?? '')?.[1];
}

/** Stands before every route that is not for everybody. */
export const mustBeLoggedIn: onRequestHookHandler = (request, _reply, next) => {
  if (request.account) next();
  else next(authenticationRequired());
};

/** The account id of whoever sends a request. */
export const callerOf = ({ account }: FastifyRequest): string => account?.id ?? 'anonymous';

export const authenticationRequired = () =>
  new HttpError({
    status: 401,
    code: 'AUTHENTICATION_REQUIRED',
    message: 'Please log in first.',
    headers: { 'www-authenticate': 'Bearer' },
  });
