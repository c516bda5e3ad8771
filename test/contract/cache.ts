import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  type CacheServer,
  encodeEntry,
  ENTRY_MS,
  EPOCH_MS,
  isEpoch,
  isMark,
  LEASE_MS,
  MARK_MS,
} from '../../src/cache/cache.ts';

/** A cache that only this test uses, and its clock. */
export interface CacheUnderTest {
  readonly server: CacheServer;
  /** Makes all its entries older by this time. */
  pass(ms: number): Promise<void>;
}

const VARIANT = 'v1';
const INCARNATION = 'life-1';
const album = { key: 'album/1', epochs: ['songs'] };
const likes = { key: 'likes/1', epochs: [] };
const entryOf = (validity: string, body = '{}') => encodeEntry(validity, { body });

/** What every adapter of the port promises. `setup` runs before every test. */
export function cacheContract(name: string, setup: () => Promise<CacheUnderTest>): void {
  describe(`${name} as a cache`, () => {
    let server: CacheServer;
    let pass: CacheUnderTest['pass'];

    beforeEach(async () => {
      ({ server, pass } = await setup());
      await server.begin(INCARNATION);
    });

    const lease = (wanted: { key: string; epochs: string[] }, token: string, variant = VARIANT) =>
      server.lease(INCARNATION, wanted, { token, variant });
    const fill = (key: string, token: string, entry = entryOf(VARIANT)) => server.fill(INCARNATION, key, token, entry);
    const mark = (token: string, ...keys: string[]) => server.mark(INCARNATION, keys, token);
    const release = (token: string, ...keys: string[]) => server.release(INCARNATION, keys, token);
    const valueOf = async (key: string) => (await server.read(INCARNATION, [key]))?.[0];
    const isMarked = async (key: string) => isMark(await valueOf(key));

    /** Stores an entry, and returns it. */
    async function store(wanted: { key: string; epochs: string[] }, body = '{}'): Promise<string> {
      const validity = await lease(wanted, 'storing');
      const entry = entryOf(validity!, body);
      expect(await fill(wanted.key, 'storing', entry)).toBe(true);
      return entry;
    }

    describe('incarnations', () => {
      it('begin when the server confirms them', async () => {
        const { server: fresh } = await setup();
        const { runId, ...unknown } = await fresh.identify();
        expect(unknown).toEqual({ incarnation: undefined });
        await fresh.begin('a');
        expect(await fresh.identify()).toEqual({ runId, incarnation: 'a' });
        await fresh.begin('b');
        expect(await fresh.identify()).toEqual({ runId, incarnation: 'b' });
        expect(runId).not.toBe('');
      });

      it('allow no read, lease, fill or mark before the first one begins', async () => {
        const { server: fresh } = await setup();
        expect(await fresh.read(INCARNATION, ['k'])).toBeUndefined();
        expect(await fresh.lease(INCARNATION, likes, { token: 't', variant: VARIANT })).toBeUndefined();
        expect(await fresh.fill(INCARNATION, likes.key, 't', entryOf(VARIANT))).toBe(false);
        expect(await fresh.mark(INCARNATION, ['k'], 't')).toBe(false);
        await fresh.release(INCARNATION, ['k'], 't');
      });

      it('do not see each other’s entries', async () => {
        await store(album);
        await mark('batch', likes.key);
        await server.begin('life-2');
        const keys = [album.key, 'songs', likes.key];
        expect(await server.read('life-2', keys)).toEqual([undefined, undefined, undefined]);
      });

      it('reject reads and writes after they have ended', async () => {
        await lease(likes, 'reader');
        await mark('batch', 'old');
        await server.begin('life-2');
        expect(await server.read(INCARNATION, [likes.key])).toBeUndefined();
        expect(await fill(likes.key, 'reader')).toBe(false);
        expect(await lease(album, 'other')).toBeUndefined();
        expect(await mark('batch', album.key)).toBe(false);
        await release('batch', 'old');
        expect(await server.read('life-2', [likes.key, album.key, 'songs'])).toEqual([undefined, undefined, undefined]);
      });

      it('keep their marks when a mark of the same name is released in another incarnation', async () => {
        await mark('batch', 'k');
        await server.release('life-0', ['k'], 'batch');
        expect(await isMarked('k')).toBe(true);
      });
    });

    describe('reads', () => {
      it('return the values of the keys in order, and undefined for a missing key', async () => {
        const entry = await store(likes, '"a"');
        await mark('batch', 'marked');
        const [missing, found, marked, again] = (await server.read(INCARNATION, [
          'none',
          likes.key,
          'marked',
          likes.key,
        ]))!;
        expect([missing, found, again]).toEqual([undefined, entry, entry]);
        expect(isMark(marked)).toBe(true);
      });

      it('return the right values to each of several concurrent readers', async () => {
        const [one, two] = [await store(likes, '1'), await store({ key: 'likes/2', epochs: [] }, '2')];
        const reads = [[likes.key, 'likes/2'], ['likes/2'], ['none'], []];
        const answers = await Promise.all([
          ...reads.map((keys) => server.read(INCARNATION, keys)),
          server.read('other', [likes.key]),
        ]);
        expect(answers).toEqual([[one, two], [two], [undefined], [], undefined]);
      });
    });

    describe('a lease', () => {
      it('is granted for a key without an entry', async () => {
        expect(await lease(likes, 'reader')).toBe(VARIANT);
        expect(await fill(likes.key, 'reader')).toBe(true);
      });

      it('creates missing epochs and shares existing ones', async () => {
        const wide = { key: 'k', epochs: ['songs', 'albums'] };
        const validity = await lease(album, 'reader');
        const [songs] = (await server.read(INCARNATION, ['songs']))!;
        expect(isEpoch(songs)).toBe(true);
        expect(validity).toBe(`${VARIANT}${songs}`);
        const wider = await lease(wide, 'other');
        const [same, albums] = (await server.read(INCARNATION, wide.epochs))!;
        expect(same).toBe(songs);
        expect(albums).not.toBe(songs);
        expect(wider).toBe(`${VARIANT}${songs}${albums}`);
      });

      it('is refused over an entry of the same validity, which stays', async () => {
        const entry = await store(album);
        expect(await lease(album, 'other')).toBeUndefined();
        expect(await valueOf(album.key)).toBe(entry);
      });

      it.each(['v2', 'v', 'v12', ''])('of variant %j replaces an entry of another validity', async (variant) => {
        await store(likes);
        expect(await lease(likes, 'other', variant)).toBe(variant);
        expect(await fill(likes.key, 'other', entryOf(variant, '"new"'))).toBe(true);
      });

      it('replaces an entry whose epoch has expired', async () => {
        const old = await store(album);
        await mark('batch', 'songs');
        await release('batch', 'songs');
        const validity = await lease(album, 'other');
        expect(isEpoch(validity?.slice(VARIANT.length))).toBe(true);
        expect(old.startsWith(`=${validity}\n`)).toBe(false);
      });

      it('is refused while another process holds it, which can still fill it', async () => {
        await lease(likes, 'reader');
        expect(await lease(likes, 'other')).toBeUndefined();
        expect(await fill(likes.key, 'other')).toBe(false);
        expect(await fill(likes.key, 'reader')).toBe(true);
      });

      it('is granted to only one of many concurrent requests', async () => {
        const tokens = Array.from({ length: 20 }, (_, index) => `reader-${index}`);
        const validities = await Promise.all(tokens.map((token) => lease(album, token)));
        expect(validities.filter((validity) => validity !== undefined)).toHaveLength(1);
      });

      it('is refused over a mark', async () => {
        await mark('batch', album.key);
        expect(await lease(album, 'reader')).toBeUndefined();
        expect(await isMarked(album.key)).toBe(true);
      });

      it('is refused while an epoch is marked, and leases nothing', async () => {
        await mark('batch', 'songs');
        const wide = { key: 'k', epochs: ['albums', 'songs', 'playlists'] };
        expect(await lease(wide, 'reader')).toBeUndefined();
        expect(await valueOf('k')).toBeUndefined();
        expect(await isMarked('songs')).toBe(true);
      });

      it('can be taken by others after it has expired, and then fills nothing', async () => {
        await lease(likes, 'slow');
        await pass(LEASE_MS / 2);
        expect(await lease(likes, 'other')).toBeUndefined();
        await pass(LEASE_MS / 2);
        expect(await lease(likes, 'other')).toBe(VARIANT);
        expect(await fill(likes.key, 'slow')).toBe(false);
        expect(await fill(likes.key, 'other')).toBe(true);
      });
    });

    describe('an entry', () => {
      it('is stored as given by the lease holder', async () => {
        const entry = entryOf(VARIANT, '{"title":"Ænima\\n","plain":"\n =?!#* ☃ 𝄞"}\n');
        await lease(likes, 'reader');
        expect(await fill(likes.key, 'reader', entry)).toBe(true);
        expect(await valueOf(likes.key)).toBe(entry);
      });

      it('is refused without a lease, and when the lease was used before', async () => {
        expect(await fill(likes.key, 'unknown')).toBe(false);
        expect(await valueOf(likes.key)).toBeUndefined();
        const entry = await store(likes, '"first"');
        expect(await fill(likes.key, 'storing', entryOf(VARIANT, '"second"'))).toBe(false);
        expect(await valueOf(likes.key)).toBe(entry);
      });

      it('is refused while a mark covers the lease, and after that', async () => {
        await lease(likes, 'reader');
        await mark('batch', likes.key);
        expect(await fill(likes.key, 'reader')).toBe(false);
        await release('batch', likes.key);
        expect(await fill(likes.key, 'reader')).toBe(false);
        expect(await valueOf(likes.key)).toBeUndefined();
      });

      it('is refused after the lease has expired', async () => {
        await lease(likes, 'slow');
        await pass(LEASE_MS);
        expect(await fill(likes.key, 'slow')).toBe(false);
        expect(await valueOf(likes.key)).toBeUndefined();
      });

      it('expires by its age since it was stored', async () => {
        await lease(likes, 'reader');
        await pass(LEASE_MS / 2);
        await fill(likes.key, 'reader');
        await pass(ENTRY_MS - LEASE_MS);
        expect(await valueOf(likes.key)).toBeDefined();
        await pass(LEASE_MS);
        expect(await valueOf(likes.key)).toBeUndefined();
        expect(await lease(likes, 'other')).toBe(VARIANT);
      });

      it('is not valid again after its epoch has expired', async () => {
        await store(album);
        await pass(EPOCH_MS - LEASE_MS);
        expect(isEpoch(await valueOf('songs'))).toBe(true);
        const before = await lease(album, 'reader');
        await pass(LEASE_MS);
        const after = await lease(album, 'other');
        expect(after).toBeDefined();
        expect(after).not.toBe(before);
      });
    });

    describe('a mark', () => {
      it('replaces any entry, and leaves nothing behind when the last mark is released', async () => {
        const keys = [likes.key, album.key, 'songs', 'nothing'];
        await store(likes);
        await lease(album, 'reader'); // creates the epoch too
        expect(await mark('batch', ...keys)).toBe(true);
        expect((await server.read(INCARNATION, keys))!.map(isMark)).toEqual([true, true, true, true]);
        await release('batch', ...keys);
        expect(await server.read(INCARNATION, keys)).toEqual([undefined, undefined, undefined, undefined]);
      });

      it.each([
        ['the order they came', ['one', 'two']],
        ['the other order', ['two', 'one']],
      ])('of two batches stays until both have released it, in %s', async (_, [first, last]) => {
        await mark('one', 'k');
        await mark('two', 'k');
        await release(first!, 'k');
        expect(await isMarked('k')).toBe(true);
        await release(last!, 'k');
        expect(await valueOf('k')).toBeUndefined();
      });

      it('stays when a batch that does not hold it releases it', async () => {
        await mark('batch-1', 'k');
        for (const token of ['batch', 'batch-', 'batch-10', 'atch-1', 'batch.1', '%S+', '']) await release(token, 'k');
        expect(await isMarked('k')).toBe(true);
      });

      it('is the only thing that a release deletes', async () => {
        const entry = await store(likes);
        await lease(album, 'reader');
        const before = await server.read(INCARNATION, [album.key, 'songs']);
        for (const token of ['storing', 'reader']) await release(token, likes.key, album.key, 'songs', 'nothing');
        expect(await server.read(INCARNATION, [likes.key])).toEqual([entry]);
        expect(await server.read(INCARNATION, [album.key, 'songs'])).toEqual(before);
      });

      it('of a crashed batch expires by its age', async () => {
        await mark('dead', 'k');
        await pass(MARK_MS - LEASE_MS);
        expect(await isMarked('k')).toBe(true);
        await pass(LEASE_MS);
        expect(await valueOf('k')).toBeUndefined();
      });

      it('that is set again gets its full lifetime', async () => {
        await mark('dead', 'k');
        await pass(MARK_MS - LEASE_MS);
        await mark('batch', 'k');
        await pass(MARK_MS - LEASE_MS);
        expect(await isMarked('k')).toBe(true);
        await release('batch', 'k');
        expect(await valueOf('k')).toBeUndefined();
      });

      it('that another batch sets does not extend the marks of a crashed batch', async () => {
        await mark('dead', 'k');
        await pass(MARK_MS / 2);
        await mark('early', 'k');
        await pass(MARK_MS / 2);
        await mark('late', 'k');
        const value = (await valueOf('k'))!;
        expect(['dead', 'early', 'late'].map((token) => value.includes(token))).toEqual([false, true, true]);
        await release('late', 'k');
        expect(await isMarked('k')).toBe(true);
        await release('early', 'k');
        expect(await valueOf('k')).toBeUndefined();
      });

      it('does not extend the marks of another batch when it is released', async () => {
        await mark('dead', 'k');
        await mark('batch', 'k');
        await pass(MARK_MS / 2);
        await release('batch', 'k');
        expect(await isMarked('k')).toBe(true);
        await pass(MARK_MS / 2);
        expect(await valueOf('k')).toBeUndefined();
      });

      it('does not extend the marks of another batch when it is set and released', async () => {
        await mark('dead', 'k');
        await pass(MARK_MS / 2);
        await mark('early', 'k');
        await release('early', 'k');
        await pass(MARK_MS / 2);
        await mark('late', 'k');
        await release('late', 'k');
        expect(await valueOf('k')).toBeUndefined();
      });
    });
  });
}
