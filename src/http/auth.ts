import jwt from '@fastify/jwt';
import type { FastifyInstance, FastifyRequest, onRequestHookHandler } from 'fastify';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import type { Access, AccessClaim } from '../accounts/access.ts';
import { type Account, accountRole, type VersionedAccount } from '../accounts/accounts.ts';
import { sessionIdOf, type SessionToken } from '../accounts/sessions.ts';
import { unavailable } from '../errors.ts';
import { newId } from '../events/ids.ts';
import { HttpError } from './errors.ts';

declare module '@fastify/jwt' {
  interface FastifyJWT {
    namespaces: Namespace;
  }
}

declare module 'fastify' {
  interface FastifyRequest {
    /** The account that sent the request; undefined without a valid access token. */
    account: Account | undefined;
    /** The claims of the request's access token; undefined without a valid one. */
    claim: AccessClaim | undefined;
  }
}

type Kind = 'access' | 'refresh';
/** The account of requests that `openmusic` commands send. No stored account has this id. */
export const OPERATOR = { id: 'system', role: 'admin', version: 0 } as const;

/** Tokens signed with the previous key are still accepted, in a namespace of their own. */
type Namespace = Kind | `former-${Kind}`;

export interface TokenSettings {
  /** At least 32 bytes, and different for each kind. */
  readonly key: string;
  readonly previousKey?: string;
  /** Seconds. */
  readonly age: number;
}

export type TokenOptions = Readonly<Record<Kind, TokenSettings>>;

export interface Tokens {
  /** Signs an access token. The operator's token belongs to no session. */
  issueAccess(account: VersionedAccount, sessionId?: string): string;
  /** Begins a session. */
  issueRefresh(account: Account): SessionToken;
  /** The claims of an access token; undefined when it is malformed, forged, expired or of the other kind. */
  verifyAccess(token: string): AccessClaim | undefined;
  /** The session of a refresh token; undefined in the same cases. */
  verifyRefresh(token: string): SessionToken | undefined;
}

/** Adds both kinds of tokens, each with its own key, so that neither is accepted as the other. Call it before the routes are registered. */
export function acceptTokens(app: FastifyInstance, options: TokenOptions, access?: Access): Tokens {
  for (const kind of ['access', 'refresh'] as const) {
    const { key, previousKey, age } = options[kind];
    register(app, kind, kind, key, age);
    if (previousKey !== undefined) register(app, `former-${kind}`, kind, previousKey, age);
  }
  const tokens = tokensOf(app, options);
  app.decorateRequest('account', undefined);
  app.decorateRequest('claim', undefined);
  const judge: onRequestHookHandler = (request, _reply, next) => {
    const token = bearerOf(request);
    const claim = token === undefined ? undefined : tokens.verifyAccess(token);
    if (claim && access?.isCurrent() === false) {
      next(accessUnknown());
      return;
    }
    request.account = claim && (access ? access.judge(claim) : claim);
    if (request.account) request.claim = claim;
    next();
  };
  // After the hooks that give every answer its headers.
  app.after(() => {
    app.addHook('onRequest', judge);
  });
  return tokens;
}

/** Without a recent answer from Postgres a token may have been revoked. A 401 would make the client log in again for nothing, so it is 503. */
const accessUnknown = () =>
  unavailable(
    'ACCESS_UNKNOWN',
    'The server cannot check at the moment whether you are still logged in. Please try again.',
  );

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
  role: accountRole,
  jti: z.string(),
  /** Access version of the account. Tokens of earlier versions have neither this nor a session. */
  ver: z.int().default(0),
  /** Session. */
  sid: z.string().optional(),
  /** Seconds since the epoch. */
  iat: z.int(),
  exp: z.int(),
});

/** The claims of a valid token, and when it expires: milliseconds since the epoch. */
type VerifiedClaims = z.output<typeof claims> & { readonly expires: number };

/** A token issued before the age was lowered expires as early as one that is issued now. */
const expiryOf = ({ iat, exp }: z.output<typeof claims>, age: number): number => Math.min(exp, iat + age) * 1_000;

const CACHED_TOKENS = 10_000;

function tokensOf(app: FastifyInstance, options: TokenOptions): Tokens {
  /** Verified access tokens, until they expire: a look-up costs a hundredth of a verification. */
  const verified = new LRUCache<string, { readonly claim: AccessClaim; readonly expires: number }>({
    max: CACHED_TOKENS,
  });

  function read(kind: Kind, token: string): VerifiedClaims | undefined {
    const namespaces: Namespace[] = options[kind].previousKey === undefined ? [kind] : [kind, `former-${kind}`];
    for (const namespace of namespaces) {
      try {
        const parsed = claims.parse(app.jwt[namespace].verify(token));
        const expires = expiryOf(parsed, options[kind].age);
        return expires > Date.now() ? { ...parsed, expires } : undefined;
      } catch {
        // Signed with another key, or not valid: the next key is tried.
      }
    }
    return undefined;
  }

  function readAccess(token: string) {
    const claims = read('access', token);
    if (!claims) return undefined;
    const { sub: id, role, ver: version, sid: sessionId, expires } = claims;
    return { claim: { id, role, version, sessionId }, expires };
  }

  return {
    issueAccess: ({ id, role, version }, sessionId) =>
      app.jwt.access.sign({ sub: id, role, ver: version, jti: newId(), ...(sessionId && { sid: sessionId }) }),
    issueRefresh({ id, role }) {
      const token = app.jwt.refresh.sign({ sub: id, role, jti: newId() });
      return { token, sessionId: sessionIdOf(token) };
    },
    verifyAccess(token) {
      const cached = verified.get(token);
      const entry = cached ?? readAccess(token);
      if (!entry || entry.expires <= Date.now()) return undefined;
      if (!cached) verified.set(token, entry);
      return entry.claim;
    },
    verifyRefresh(token) {
      return read('refresh', token) && { token, sessionId: sessionIdOf(token) };
    },
  };
}

function bearerOf({ headers }: FastifyRequest): string | undefined {
  return /^Bearer +([\w-]+\.[\w-]+\.[\w-]+) *$/i.exec(headers.authorization ?? '')?.[1];
}

/** For every route that needs a login. The answer belongs to one account, so shared caches must not keep it. */
export const mustBeLoggedIn: onRequestHookHandler = (request, reply, next) => {
  reply.header('cache-control', 'private, no-cache');
  if (request.account) next();
  else next(authenticationRequired());
};

/** The id of the account that sends a request. */
export const callerOf = ({ account }: FastifyRequest): string => account?.id ?? 'anonymous';

/** Calls `changed` when the account of a request loses its rights or changes its role, until the returned function is called. */
export function onAccessChange({ claim, account }: FastifyRequest, access: Access, changed: () => void): () => void {
  const judge = () => {
    if (claim && access.judge(claim)?.role !== account?.role) changed();
  };
  const unsubscribe = access.onChange(judge);
  // A change between the check of the request and the subscription called no listener.
  judge();
  return unsubscribe;
}

export const authenticationRequired = () =>
  new HttpError({
    status: 401,
    code: 'AUTHENTICATION_REQUIRED',
    message: 'Please log in first.',
    headers: { 'www-authenticate': 'Bearer' },
  });
