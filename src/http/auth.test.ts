import { afterEach, describe, expect, it, jest } from '@jest/globals';
import Fastify from 'fastify';
import type { Account } from '../accounts/accounts.ts';
import { acceptTokens, type TokenOptions } from './auth.ts';
import { claimsOf, forge } from '../../test/support/tokens.ts';

const chris: Account = { id: 'user-1', role: 'user' };
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
  return tokens;
}

const isSignedWith = (token: string, secret: string) => forge(claimsOf(token), secret) === token;

describe.each([
  ['access', 'refresh'],
  ['refresh', 'access'],
] as const)('a token of the kind %s', (kind, other) => {
  it('names the account and its role, and is of no other kind', async () => {
    const tokens = await tokensWith(OPTIONS);
    const token = tokens.issue(kind, { id: 'user-2', role: 'admin' });
    expect(tokens.verify(kind, token)).toEqual({ id: 'user-2', role: 'admin' });
    expect(tokens.verify(other, token)).toBeUndefined();
  });

  it.each([1, 60, 1_800, 604_800])('that lives for %d seconds says so', async (age) => {
    const tokens = await tokensWith({ ...OPTIONS, [kind]: { ...OPTIONS[kind], age } });
    const { exp, iat } = claimsOf(tokens.issue(kind, chris)) as { exp: number; iat: number };
    expect([exp - iat, Number.isInteger(exp), Number.isInteger(iat)]).toEqual([age, true, true]);
  });

  it('is never the same twice', async () => {
    const tokens = await tokensWith(OPTIONS);
    expect(tokens.issue(kind, chris)).not.toBe(tokens.issue(kind, chris));
  });

  it('is good until it expires, not a moment longer, also when it was verified before', async () => {
    const tokens = await tokensWith(OPTIONS);
    const token = tokens.issue(kind, chris);
    const { exp } = claimsOf(token) as { exp: number };
    const clock = jest.spyOn(Date, 'now');
    for (const [now, account] of [
      [exp * 1_000 - 1, chris],
      [exp * 1_000 + 1, undefined],
      [exp * 1_000 + 600_000, undefined],
    ] as const) {
      clock.mockReturnValue(now);
      expect(tokens.verify(kind, token)).toEqual(account);
    }
  });

  it('outlives the key it was signed with, while that is the previous one', async () => {
    const before = await tokensWith(OPTIONS);
    const old = before.issue(kind, chris);
    const rotated = { ...OPTIONS, [kind]: { key: key('n'), previousKey: OPTIONS[kind].key, age: 60 } };
    const during = await tokensWith(rotated);
    const young = during.issue(kind, chris);
    expect([isSignedWith(young, key('n')), isSignedWith(old, OPTIONS[kind].key)]).toEqual([true, true]);
    expect([during.verify(kind, old), during.verify(kind, young)]).toEqual([chris, chris]);
    const after = await tokensWith({ ...OPTIONS, [kind]: { key: key('n'), age: 60 } });
    expect([after.verify(kind, old), after.verify(kind, young)]).toEqual([undefined, chris]);
  });

  it('is of no other kind under a previous key either', async () => {
    const previous = { access: key('c'), refresh: key('d') };
    const rotated: TokenOptions = {
      access: { ...OPTIONS.access, previousKey: previous.access },
      refresh: { ...OPTIONS.refresh, previousKey: previous.refresh },
    };
    const tokens = await tokensWith(rotated);
    const claims = claimsOf(tokens.issue(kind, chris));
    expect(tokens.verify(kind, forge(claims, previous[kind]))).toEqual(chris);
    const others = [forge(claims, previous[other]), forge({ ...claims, aud: other }, previous[kind])];
    expect(others.map((token) => tokens.verify(kind, token))).toEqual([undefined, undefined]);
    const itself = forge(claims, previous[kind]);
    expect(tokens.verify(other, itself)).toBeUndefined();
  });

  it('says for which kind it is', async () => {
    const tokens = await tokensWith(OPTIONS);
    const { aud, ...claims } = claimsOf(tokens.issue(kind, chris));
    expect(aud).toBe(kind);
    expect(tokens.verify(kind, forge(claims, OPTIONS[kind].key))).toBeUndefined();
  });
});

it('kinds that share a key by mistake are told apart all the same', async () => {
  const tokens = await tokensWith({ access: { key: key('x'), age: 60 }, refresh: { key: key('x'), age: 60 } });
  for (const kind of KINDS) {
    const found = KINDS.map((each) => tokens.verify(each, tokens.issue(kind, chris)));
    expect(found).toEqual(KINDS.map((each) => (each === kind ? chris : undefined)));
  }
});

it('a verified access token is remembered as one only', async () => {
  const tokens = await tokensWith(OPTIONS);
  const token = tokens.issue('access', chris);
  expect(tokens.verify('access', token)).toEqual(chris);
  expect(tokens.verify('access', token)).toBe(tokens.verify('access', token));
  expect(tokens.verify('refresh', token)).toBeUndefined();
});
