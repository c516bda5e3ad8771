import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { anyCharacter } from '../../../../test/support/characters.ts';
import { linkTo, type LinkRequest, ownerByLink } from './links.ts';

const keys = { current: 'k'.repeat(32), previous: 'p'.repeat(32) };
const NOW = Date.UTC(2026, 0, 1);
const file = { publicUrl: 'https://music.example/api', fileId: 'file-1', owner: 'user-1' };
const expires = new Date(NOW + 900_000);

/** The request that a link makes. */
function requestOf(link: string, method = 'GET'): LinkRequest & { query: Record<string, string> } {
  const url = new URL(link);
  const [, fileId = ''] = /\/files\/(.*)\/content$/.exec(url.pathname) ?? [];
  return { method, fileId: decodeURIComponent(fileId), query: Object.fromEntries(url.searchParams) };
}

const good = requestOf(linkTo({ ...file, expires }, keys));
const isGood = (request: LinkRequest, now = NOW, some: typeof keys | { current: string } = keys) =>
  ownerByLink(request, some, now) !== undefined;

describe('a link', () => {
  it('is a URL that names the file, its owner and its expiry', () => {
    const link = new URL(linkTo({ ...file, expires }, keys));
    expect(link.origin + link.pathname).toBe('https://music.example/api/files/file-1/content');
    expect(Object.fromEntries(link.searchParams)).toEqual({
      owner: 'user-1',
      expires: String(expires.getTime() / 1_000),
      signature: expect.stringMatching(/^[\w-]{43}$/),
    });
  });

  it('allows GET and HEAD on behalf of its owner', () => {
    expect(ownerByLink(good, keys, NOW)).toBe('user-1');
    expect(ownerByLink({ ...good, method: 'HEAD' }, keys, NOW)).toBe('user-1');
  });

  it('expires to the second', () => {
    expect([isGood(good, expires.getTime() - 1), isGood(good, expires.getTime())]).toEqual([true, false]);
    const between = requestOf(linkTo({ ...file, expires: new Date(NOW + 1_999) }, keys));
    expect([isGood(between, NOW + 999), isGood(between, NOW + 1_000)]).toEqual([true, false]);
  });

  it('is valid under the previous key, and not under another', () => {
    const older = requestOf(linkTo({ ...file, expires }, { current: keys.previous }));
    expect(isGood(older)).toBe(true);
    expect(isGood(older, NOW, { current: keys.current })).toBe(false);
    expect(isGood(good, NOW, { current: 'o'.repeat(32) })).toBe(false);
  });

  it.each([
    ['another method', { ...good, method: 'DELETE' }],
    ['a method in small letters', { ...good, method: 'get' }],
    ['another file', { ...good, fileId: 'file-2' }],
    ['a file further down', { ...good, fileId: 'file-1/content' }],
    ['another owner', { ...good, query: { ...good.query, owner: 'user-2' } }],
    ['no owner', { ...good, query: { ...good.query, owner: '' } }],
    ['a later end', { ...good, query: { ...good.query, expires: `${good.query.expires!}0` } }],
    ['an end that is written otherwise', { ...good, query: { ...good.query, expires: `0${good.query.expires!}` } }],
    ['no signature', { ...good, query: { owner: 'user-1', expires: good.query.expires! } }],
    ['an empty signature', { ...good, query: { ...good.query, signature: '' } }],
    ['a signature that goes on', { ...good, query: { ...good.query, signature: `${good.query.signature!}=` } }],
    ['two owners', { ...good, query: { ...good.query, owner: ['user-1', 'user-2'] } }],
    ['an end that is a number', { ...good, query: { ...good.query, expires: Number(good.query.expires) } }],
    ['no query', { ...good, query: undefined }],
  ])('is not valid with %s', (_, request: LinkRequest) => {
    expect(isGood(request)).toBe(false);
  });

  it('distinguishes parts that concatenate to the same text', () => {
    const split = requestOf(linkTo({ ...file, owner: 'user-1","9', expires }, keys));
    expect(ownerByLink(split, keys, NOW)).toBe('user-1","9');
    expect(isGood({ ...split, query: { ...split.query, owner: 'user-1' } })).toBe(false);
  });

  it('is valid for any file, owner and time that it was made of', () => {
    const text = fc.string({ minLength: 1, unit: 'grapheme' });
    fc.assert(
      fc.property(text, text, fc.integer({ min: 1, max: 10 ** 9 }), (name, owner, seconds) => {
        // A file id has a prefix: one that is only dots would be a relative part of the path.
        const fileId = `file-${name}`;
        const link = linkTo({ ...file, fileId, owner, expires: new Date(NOW + seconds * 1_000) }, keys);
        return ownerByLink(requestOf(link), keys, NOW) === owner;
      }),
    );
  });

  it('is not valid when one character of it is changed', () => {
    const parts = fc.constantFrom('owner', 'expires', 'signature');
    fc.assert(
      fc.property(parts, fc.nat(), fc.string({ minLength: 1, maxLength: 1, unit: anyCharacter }), (part, at, other) => {
        const text = good.query[part]!;
        const index = at % text.length;
        fc.pre(text[index] !== other);
        const query = { ...good.query, [part]: text.slice(0, index) + other + text.slice(index + 1) };
        return !isGood({ ...good, query });
      }),
    );
  });

  it('is not valid with any other content, and nothing throws', () => {
    const anything = fc.anything({ withNullPrototype: true, withObjectString: true });
    const part = fc.oneof(anything, fc.string({ unit: anyCharacter }), fc.constant(good.query.expires));
    const query = fc.oneof(anything, fc.record({ owner: part, expires: part, signature: part }));
    const method = fc.oneof(fc.string(), fc.constantFrom('GET', 'HEAD'));
    const fileId = fc.oneof(fc.string({ unit: anyCharacter }), fc.constantFrom('file-1', '\ud800'));
    fc.assert(fc.property(method, fileId, query, (...[a, b, c]) => !isGood({ method: a, fileId: b, query: c })));
  });
});
