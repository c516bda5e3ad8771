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
    /** The account that sends it; undefined without a good access token. */
    account: Account | undefined;
    /** What the access token says that came with it; undefined without a good one. */
    claim: AccessClaim | undefined;
  }
}

type Kind = 'access' | 'refresh';
/** In whose name commands of the command line speak. No account has this id. */
export const OPERATOR = { id: 'system', role: 'admin', version: 0 } as const;

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
  /** Of the session, unless it is the operator's. */
  issueAccess(account: VersionedAccount, sessionId?: string): string;
  /** Begins a session. */
  issueRefresh(account: Account): SessionToken;
  /** What an access token says; undefined for one that is malformed, forged, expired or of the other kind. */
  verifyAccess(token: string): AccessClaim | undefined;
  /** The session of a refresh token; undefined as above. */
  verifyRefresh(token: string): SessionToken | undefined;
}

/** Two kinds of tokens with keys of their own, so that neither passes for the other. Registers before the routes. */
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

/** Without word from Postgres a token that was good may be over. It is not refused either: the client would log in again for nothing. */
const accessUnknown = () =>
  unavailable('ACCESS_UNKNOWN', 'Whether you are still logged in cannot be found out at the moment. Please try again.');

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
  /** Of the account. Tokens of earlier versions say neither this nor a session. */
  ver: z.int().default(0),
  /** Session. */
  sid: z.string().optional(),
  /** Seconds since the epoch. */
  iat: z.int(),
  exp: z.int(),
});

/** What a good token says, and when it is good no more: milliseconds since the epoch. */
type Said = z.output<typeof claims> & { readonly expires: number };

/** A token from before the age was lowered is good no longer than one that is made now. */
const expiryOf = ({ iat, exp }: z.output<typeof claims>, age: number): number => Math.min(exp, iat + age) * 1_000;

const REMEMBERED = 10_000;

function tokensOf(app: FastifyInstance, options: TokenOptions): Tokens {
  /** Access tokens that were verified, until they expire: a look-up costs a hundredth of a verification. */
  const known = new LRUCache<string, { readonly claim: AccessClaim; readonly expires: number }>({ max: REMEMBERED });

  function read(kind: Kind, token: string): Said | undefined {
    const namespaces: Namespace[] = options[kind].previousKey === undefined ? [kind] : [kind, `former-${kind}`];
    for (const namespace of namespaces) {
      try {
        const said = claims.parse(app.jwt[namespace].verify(token));
        const expires = expiryOf(said, options[kind].age);
        return expires > Date.now() ? { ...said, expires } : undefined;
      } catch {
        // of the other key, or of none
      }
    }
    return undefined;
  }

  function readAccess(token: string) {
    const said = read('access', token);
    if (!said) return undefined;
    const { sub: id, role, ver: version, sid: sessionId, expires } = said;
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
      const remembered = known.get(token);
      const entry = remembered ?? readAccess(token);
      if (!entry || entry.expires <= Date.now()) return undefined;
      if (!remembered) known.set(token, entry);
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

/** Stands before every route that is not for everybody. What it answers belongs to one account. */
export const mustBeLoggedIn: onRequestHookHandler = (request, reply, next) => {
  reply.header('cache-control', 'private, no-cache');
  if (request.account) next();
  else next(authenticationRequired());
};

/** The id of the account that sends a request. */
export const callerOf = ({ account }: FastifyRequest): string => account?.id ?? 'anonymous';

/** Calls back once the account of a request may no longer do what it could, until the returned function is called. */
export function onAccessChange({ claim, account }: FastifyRequest, access: Access, changed: () => void): () => void {
  const judge = () => {
    if (claim && access.judge(claim)?.role !== account?.role) changed();
  };
  const unsubscribe = access.onChange(judge);
  // What has changed since the request was judged told no listener.
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
