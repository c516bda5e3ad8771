import { afterEach, describe, expect, it, jest } from '@jest/globals';
import Fastify from 'fastify';
import type { Access, AccessClaim } from '../accounts/access.ts';
import { acceptTokens, type TokenOptions } from './auth.ts';
import { claimsOf, forge } from '../../test/support/tokens.ts';

const chris: AccessClaim = { id: 'user-1', role: 'user', version: 3 };
const key = (letter: string) => letter.repeat(32);
const OPTIONS = { access: { key: key('a'), age: 1_800 }, refresh: { key: key('r'), age: 604_800 } };
const KINDS = ['access', 'refresh'] as const;

const started: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  jest.restoreAllMocks();
  await Promise.all(started.splice(0).map((app) => app.close()));
});

async function tokensWith(options: TokenOptions) {
  const app = Fastify();
  started.push(app);
  const tokens = acceptTokens(app, options);
  await app.ready();
  const account = ({ id, role, version = 0 }: Said): AccessClaim => ({ id, role, version });
  return {
    issue: (kind: Kind, of: Said) =>
      kind === 'access' ? tokens.issueAccess(account(of), of.sessionId) : tokens.issueRefresh(account(of)).token,
    verify: (kind: Kind, token: string) =>
      kind === 'access' ? tokens.verifyAccess(token) : tokens.verifyRefresh(token) && REFRESHED,
  };
}

type Kind = (typeof KINDS)[number];
type Said = Omit<AccessClaim, 'version'> & { readonly version?: number };
/** A refresh token names its session only. */
const REFRESHED = 'a session';

const goodAs = (kind: Kind, claim: AccessClaim) => (kind === 'access' ? claim : REFRESHED);

const isSignedWith = (token: string, secret: string) => forge(claimsOf(token), secret) === token;

describe.each([
  ['access', 'refresh'],
  ['refresh', 'access'],
] as const)('a token of the kind %s', (kind, other) => {
  it('names the account and its role, and is not accepted as the other kind', async () => {
    const tokens = await tokensWith(OPTIONS);
    const token = tokens.issue(kind, { id: 'user-2', role: 'admin' });
    expect(tokens.verify(kind, token)).toEqual(goodAs(kind, { id: 'user-2', role: 'admin', version: 0 }));
    expect(tokens.verify(other, token)).toBeUndefined();
  });

  it.each([1, 60, 1_800, 604_800])('expires after %d seconds', async (age) => {
    const tokens = await tokensWith({ ...OPTIONS, [kind]: { ...OPTIONS[kind], age } });
    const { exp, iat } = claimsOf(tokens.issue(kind, chris)) as { exp: number; iat: number };
    expect([exp - iat, Number.isInteger(exp), Number.isInteger(iat)]).toEqual([age, true, true]);
  });

  it('is different each time', async () => {
    const tokens = await tokensWith(OPTIONS);
    expect(tokens.issue(kind, chris)).not.toBe(tokens.issue(kind, chris));
  });

  it('is valid exactly until it expires, also when it was verified before', async () => {
    const tokens = await tokensWith(OPTIONS);
    const token = tokens.issue(kind, chris);
    const { exp } = claimsOf(token) as { exp: number };
    const clock = jest.spyOn(Date, 'now');
    for (const [now, account] of [
      [exp * 1_000 - 1, goodAs(kind, chris)],
      [exp * 1_000 + 1, undefined],
      [exp * 1_000 + 600_000, undefined],
    ] as const) {
      clock.mockReturnValue(now);
      expect(tokens.verify(kind, token)).toEqual(account);
    }
  });

  it('issued before the age was lowered expires as early as a new one', async () => {
    const old = (await tokensWith(OPTIONS)).issue(kind, chris);
    const tokens = await tokensWith({ ...OPTIONS, [kind]: { ...OPTIONS[kind], age: 60 } });
    const { iat } = claimsOf(old) as { iat: number };
    const clock = jest.spyOn(Date, 'now');
    const goodAt = (seconds: number) => {
      clock.mockReturnValue((iat + seconds) * 1_000);
      return tokens.verify(kind, old) !== undefined;
    };
    // The token is cached by then.
    expect([goodAt(59), goodAt(61)]).toEqual([true, false]);
    expect((await tokensWith({ ...OPTIONS, [kind]: { ...OPTIONS[kind], age: 60 } })).verify(kind, old)).toBeUndefined();
  });

  it('stays valid while its key is the previous one', async () => {
    const before = await tokensWith(OPTIONS);
    const old = before.issue(kind, chris);
    const rotated = { ...OPTIONS, [kind]: { key: key('n'), previousKey: OPTIONS[kind].key, age: 60 } };
    const during = await tokensWith(rotated);
    const young = during.issue(kind, chris);
    expect([isSignedWith(young, key('n')), isSignedWith(old, OPTIONS[kind].key)]).toEqual([true, true]);
    const good = goodAs(kind, chris);
    expect([during.verify(kind, old), during.verify(kind, young)]).toEqual([good, good]);
    const after = await tokensWith({ ...OPTIONS, [kind]: { key: key('n'), age: 60 } });
    expect([after.verify(kind, old), after.verify(kind, young)]).toEqual([undefined, good]);
  });

  it('is not accepted as the other kind under a previous key either', async () => {
    const previous = { access: key('c'), refresh: key('d') };
    const rotated: TokenOptions = {
      access: { ...OPTIONS.access, previousKey: previous.access },
      refresh: { ...OPTIONS.refresh, previousKey: previous.refresh },
    };
    const tokens = await tokensWith(rotated);
    const claims = claimsOf(tokens.issue(kind, chris));
    expect(tokens.verify(kind, forge(claims, previous[kind]))).toEqual(goodAs(kind, chris));
    const others = [forge(claims, previous[other]), forge({ ...claims, aud: other }, previous[kind])];
    expect(others.map((token) => tokens.verify(kind, token))).toEqual([undefined, undefined]);
    const itself = forge(claims, previous[kind]);
    expect(tokens.verify(other, itself)).toBeUndefined();
  });

  it('has its kind as audience', async () => {
    const tokens = await tokensWith(OPTIONS);
    const { aud, ...claims } = claimsOf(tokens.issue(kind, chris));
    expect(aud).toBe(kind);
    expect(tokens.verify(kind, forge(claims, OPTIONS[kind].key))).toBeUndefined();
  });
});

it('tells the kinds apart even when they share a key by mistake', async () => {
  const tokens = await tokensWith({ access: { key: key('x'), age: 60 }, refresh: { key: key('x'), age: 60 } });
  for (const kind of KINDS) {
    const found = KINDS.map((each) => tokens.verify(each, tokens.issue(kind, chris)));
    expect(found).toEqual(KINDS.map((each) => (each === kind ? goodAs(kind, chris) : undefined)));
  }
});

it('a cached access token is not accepted as a refresh token', async () => {
  const tokens = await tokensWith(OPTIONS);
  const token = tokens.issue('access', chris);
  expect(tokens.verify('access', token)).toEqual(chris);
  expect(tokens.verify('access', token)).toBe(tokens.verify('access', token));
  expect(tokens.verify('refresh', token)).toBeUndefined();
});

it('an access token has the version of its account and its session; one of an earlier version has neither', async () => {
  const tokens = await tokensWith(OPTIONS);
  const token = tokens.issue('access', { ...chris, sessionId: 'one' });
  expect(tokens.verify('access', token)).toEqual({ ...chris, sessionId: 'one' });
  const { ver, sid, ...earlier } = claimsOf(token);
  expect([ver, sid]).toEqual([3, 'one']);
  expect(tokens.verify('access', forge(earlier, OPTIONS.access.key))).toEqual({ ...chris, version: 0 });
});

describe('a request with an access token', () => {
  async function ask(access: Partial<Access>, token = true) {
    const app = Fastify();
    started.push(app);
    const unchanged: Access = { isCurrent: () => true, judge: (claim) => claim, onChange: () => () => undefined };
    const tokens = acceptTokens(app, OPTIONS, { ...unchanged, ...access });
    app.setErrorHandler((error: { kind?: string; code?: string }, _, reply) =>
      reply.code(500).send([error.kind, error.code]),
    );
    app.get('/', ({ account }) => account ?? 'anonymous');
    await app.ready();
    const authorization = `Bearer ${tokens.issueAccess(chris, 'one')}`;
    return (await app.inject({ url: '/', headers: token ? { authorization } : {} })).body;
  }

  it('has the current role of its account', async () => {
    const admin = { id: 'user-1', role: 'admin' } as const;
    expect(JSON.parse(await ask({ judge: () => admin }))).toEqual(admin);
    expect(await ask({ judge: () => undefined })).toBe('anonymous');
  });

  it('is 503 with Retry-After while the state of the token is unknown', async () => {
    expect(JSON.parse(await ask({ isCurrent: () => false }))).toEqual(['unavailable', 'ACCESS_UNKNOWN']);
    expect(await ask({ isCurrent: () => false }, false)).toBe('anonymous');
  });
});
