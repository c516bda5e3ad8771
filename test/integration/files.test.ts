import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ByteRange, FileLink, Files } from '../../src/providers/files/files.ts';
import { killDuringPut } from '../support/killed-put.ts';
import { keptHashOf, listOf, namesOf, open, removeAll, type Settings, useScratch } from '../support/stored-files.ts';
import { eventually } from '../support/observed.ts';
import { namespace } from '../support/servers/index.ts';
import { describeWithMinio, describeWithS3, type Minio, type S3Server } from '../support/servers/minio.ts';

const MEGABYTE = 2 ** 20;
const LARGE = 50 * MEGABYTE;
const bytes = Buffer.from('0123456789'.repeat(20_000));
let count = 0;
const newName = (prefix = 'covers/') => `${prefix}file-${++count}.png`;

async function contentOf(files: Files, name: string, range?: ByteRange): Promise<string | undefined> {
  const file = await files.open(name);
  return file && (await buffer(await file.read(range))).toString();
}

const scratch = useScratch();
const { made } = scratch;

/** What every provider promises. */
function filesSuite(settingsOf: () => Settings): void {
  const opened: Files[] = [];
  /** A namespace of its own. */
  const openNew = async () => {
    const files = await open({ ...settingsOf(), NAMESPACE: namespace() });
    opened.push(files);
    return files;
  };
  let files: Files;
  beforeAll(async () => {
    files = await openNew();
  });
  afterAll(async () => {
    for (const each of opened) {
      await removeAll(each);
      await each.stop();
    }
  });

  it('returns what was stored, and its size', async () => {
    const name = newName();
    await files.put(name, bytes, 'image/png');
    const file = await files.open(name);
    expect(file?.size).toBe(bytes.length);
    expect((await buffer(await file!.read())).equals(bytes)).toBe(true);
  });

  it('returns a range, both ends included', async () => {
    const name = newName();
    await files.put(name, bytes, 'image/png');
    expect(await contentOf(files, name, { start: 0, end: 0 })).toBe('0');
    expect(await contentOf(files, name, { start: 12, end: 17 })).toBe('234567');
    expect(await contentOf(files, name, { start: 199_998, end: 199_999 })).toBe('89');
    const file = await files.open(name);
    await file!.close();
  });

  it('removes a large file completely', async () => {
    const name = newName('results/');
    const { file, hash } = await made(LARGE);
    await files.putFile(name, file, 'application/zip');
    expect([await keptHashOf(files, name), existsSync(file)]).toEqual([hash, false]);
    const kept = await files.open(name);
    expect(kept?.size).toBe(LARGE);
    await kept!.close();
  });

  it('stores an empty file', async () => {
    const name = newName('results/');
    const { file } = await made(0);
    await files.putFile(name, file, 'text/csv');
    expect([await contentOf(files, name), existsSync(file)]).toEqual(['', false]);
  });

  it('rejects a missing source file', async () => {
    const name = newName('results/');
    await expect(files.putFile(name, path.join(scratch.directory(), 'none'), 'text/csv')).rejects.toThrow(/ENOENT/);
    expect([await files.open(name), (await namesOf(files)).includes(name)]).toEqual([undefined, false]);
  });

  it('keeps the later of two files with one name', async () => {
    const name = newName('results/');
    const [first, second] = [await made(MEGABYTE), await made(2 * MEGABYTE)];
    await files.put(name, bytes, 'text/csv');
    await files.putFile(name, first.file, 'text/csv');
    expect(await keptHashOf(files, name)).toBe(first.hash);
    await files.putFile(name, second.file, 'text/csv');
    expect(await keptHashOf(files, name)).toBe(second.hash);
    await files.put(name, bytes, 'text/csv');
    expect(await contentOf(files, name)).toBe(bytes.toString());
    expect((await namesOf(files)).filter((each) => each.startsWith(name))).toEqual([name]);
  });

  it('keeps one complete file of many that are stored with one name at once', async () => {
    const name = newName('results/');
    const all = await Promise.all(Array.from({ length: 4 }, () => made(4 * MEGABYTE)));
    const small = Array.from({ length: 4 }, (_, index) => Buffer.alloc(2 * MEGABYTE, index));
    await Promise.all([
      ...all.map(({ file }) => files.putFile(name, file, 'text/csv')),
      ...small.map((each) => files.put(name, each, 'text/csv')),
    ]);
    const hashes = small.map((each) => createHash('sha256').update(each).digest('hex'));
    expect([...all.map(({ hash }) => hash), ...hashes]).toContain(await keptHashOf(files, name));
    expect((await namesOf(files)).filter((each) => each.startsWith(name))).toEqual([name]);
  });

  it('returns undefined for an unknown name', async () => {
    expect(await files.open('covers/none.png')).toBeUndefined();
    expect(await files.open('none')).toBeUndefined();
  });

  it('lists files by prefix, with their time', async () => {
    const began = Date.now();
    const [one, other, elsewhere] = [newName('listed/'), newName('listed/'), newName('list/')];
    for (const name of [one, other, elsewhere]) await files.put(name, Buffer.from('x'), 'image/png');
    expect(await namesOf(files, 'listed/')).toEqual([one, other]);
    expect(await namesOf(files, 'list')).toEqual([one, other, elsewhere].sort());
    expect(await namesOf(files, 'none/')).toEqual([]);
    for (const { modifiedAt } of await listOf(files, 'list')) expect(Math.abs(modifiedAt - began)).toBeLessThan(60_000);
  });

  it('removes a file, and accepts a missing one', async () => {
    const name = newName('removed/');
    await files.put(name, bytes, 'image/png');
    await files.remove(name);
    expect([await files.open(name), await namesOf(files, 'removed/')]).toEqual([undefined, []]);
    await files.remove(name);
    await files.remove('removed/none.png');
  });

  it('shares nothing with another namespace', async () => {
    const others = await openNew();
    const name = newName();
    await files.put(name, bytes, 'image/png');
    expect([await others.open(name), await namesOf(others)]).toEqual([undefined, []]);
    await others.remove(name);
    expect(await contentOf(files, name)).toBe(bytes.toString());
  });

  it.each([
    '../up.png',
    'covers/../../up.png',
    '/etc/passwd',
    '',
    '.',
    '..',
    'covers/',
    'covers//a',
    'a\0.png',
    '.hidden',
  ])('rejects %j as a name', async (name) => {
    const before = await namesOf(files);
    const { file } = await made(0);
    const attempts = [
      () => files.put(name, bytes, 'image/png'),
      () => files.putFile(name, file, 'image/png'),
      () => files.open(name),
      () => files.remove(name),
    ];
    for (const attempt of attempts) await expect(attempt()).rejects.toThrow(/is not a file name/);
    expect([await namesOf(files), existsSync(file)]).toEqual([before, true]);
  });

  it('reports that it works', async () => {
    await expect(files.check()).resolves.toBeUndefined();
  });
}

describe('files on disk', () => {
  let dataDir: string;
  beforeAll(async () => {
    dataDir = await mkdtemp(path.join(tmpdir(), 'openmusic-files-'));
  });
  afterAll(() => rm(dataDir, { recursive: true }));

  describe('keep the contract', () => filesSuite(() => ({ DATA_DIR: dataDir })));

  /** A provider on a directory that only this test uses. */
  async function openOwn() {
    const settings = { DATA_DIR: dataDir, NAMESPACE: namespace() };
    const directory = path.join(dataDir, 'files', settings.NAMESPACE);
    return { directory, settings, files: await open(settings) };
  }

  it('leaves nothing behind when it cannot store a file', async () => {
    const { directory, files } = await openOwn();
    await mkdir(path.join(directory, 'covers', 'taken.png'), { recursive: true });
    await expect(files.put('covers/taken.png', bytes, 'image/png')).rejects.toThrow();
    await writeFile(path.join(directory, 'no-directory'), '');
    await expect(files.put('no-directory/a.png', bytes, 'image/png')).rejects.toThrow();
    expect(await namesOf(files)).toEqual(['no-directory']);
    expect(await readdir(path.join(directory, 'covers'))).toEqual(['taken.png']);
  });

  it('does not list files with foreign names', async () => {
    const { directory, files } = await openOwn();
    for (const name of ['.nfs000', 'my cover.png']) await writeFile(path.join(directory, name), '');
    expect(await namesOf(files)).toEqual([]);
  });

  it('reports when its directory is missing', async () => {
    const { directory, files } = await openOwn();
    await rm(directory, { recursive: true });
    await expect(files.check()).rejects.toThrow(/ENOENT/);
  });

  it('gives no links', async () => {
    expect((await openOwn()).files.link).toBeUndefined();
  });

  it('leaves nothing behind when it cannot read a file', async () => {
    const { directory, files } = await openOwn();
    await mkdir(path.join(directory, 'results', 'taken.zip'), { recursive: true });
    const { file } = await made(MEGABYTE);
    await expect(files.putFile('results/taken.zip', file, 'application/zip')).rejects.toThrow();
    expect(await readdir(path.join(directory, 'results'))).toEqual(['taken.zip']);
  });

  const PART = /^covers\/a\.png\.[\da-f]+\.part$/;
  it.each([
    ['half-written', [expect.stringMatching(PART)], undefined],
    ['before-rename', [expect.stringMatching(PART)], undefined],
    ['after-rename', ['covers/a.png'], 100_000],
  ])('killed with SIGKILL when it is %s leaves only listed files, which block nothing', async (point, names, size) => {
    const { directory, settings, files } = await openOwn();
    await killDuringPut(settings, ['covers/a.png', point]);
    expect(await namesOf(files)).toEqual(names);
    const file = await files.open('covers/a.png');
    expect(file?.size).toBe(size);
    await file?.close();
    await files.put('covers/a.png', bytes, 'image/png');
    expect(await contentOf(files, 'covers/a.png')).toBe(bytes.toString());
    await removeAll(files);
    expect(await readdir(path.join(directory, 'covers'))).toEqual([]);
  });

  it.each([
    ['before-rename', []],
    ['after-rename', ['results/a.zip']],
  ])('killed with SIGKILL when it moves a file, %s, has the whole file or none', async (point, names) => {
    const { settings, files } = await openOwn();
    const { file, hash } = await made(MEGABYTE);
    await killDuringPut(settings, ['results/a.zip', point, file]);
    expect([await namesOf(files), existsSync(file)]).toEqual([names, names.length === 0]);
    if (names.length > 0) expect(await keptHashOf(files, 'results/a.zip')).toBe(hash);
  });
});

describeWithS3('files in S3', (start) => {
  let server: S3Server;
  beforeAll(async () => {
    server = await start();
  });
  afterAll(() => server.stop());
  const settings = (): Settings => ({ ...server.settings, FILES_PROVIDER: 's3' });

  describe('keep the contract', () => filesSuite(settings));

  it('are all listed when they need more than one page', async () => {
    const files = await open({ ...settings(), NAMESPACE: namespace() });
    const names = Array.from({ length: 1_001 }, (_, index) => `many/${index}.png`).sort();
    for (let index = 0; index < names.length; index += 50)
      await Promise.all(names.slice(index, index + 50).map((name) => files.put(name, Buffer.from('x'), 'image/png')));
    expect(await namesOf(files, 'many/')).toEqual(names);
    await removeAll(files);
    await files.stop();
  });

  it('reject unreadable responses', async () => {
    const files = await open({ ...settings(), NAMESPACE: namespace() });
    await expect(files.putFile('results/a.zip', scratch.directory(), 'application/zip')).rejects.toThrow(/EISDIR/);
    expect(await namesOf(files)).toEqual([]);
    await files.stop();
  });

  describe('by a signed link', () => {
    let files: Files;
    const name = 'results/a.zip';
    const link = (more: Partial<FileLink> = {}) =>
      files.link!(name, {
        name: 'Überraschung "1".zip',
        mediaType: 'application/zip',
        expires: inSeconds(60),
        ...more,
      });
    const inSeconds = (seconds: number) => new Date(Date.now() + seconds * 1_000);
    const statusOf = async (url: string, method = 'GET') => {
      const answer = await fetch(url, { method });
      await answer.arrayBuffer();
      return answer.status;
    };
    beforeAll(async () => {
      files = await open({ ...settings(), NAMESPACE: namespace() });
      await files.put(name, bytes, 'text/plain');
    });
    afterAll(async () => {
      await removeAll(files);
      await files.stop();
    });

    it('can be downloaded by any client, under their name', async () => {
      const answer = await fetch(await link());
      expect(answer.status).toBe(200);
      expect(Object.fromEntries(answer.headers)).toMatchObject({
        'content-type': 'application/zip',
        'content-length': String(bytes.length),
        'content-disposition': `attachment; filename="_berraschung _1_.zip"; filename*=UTF-8''%C3%9Cberraschung%20%221%22.zip`,
      });
      expect(Buffer.from(await answer.arrayBuffer()).equals(bytes)).toBe(true);
    });

    it('can be downloaded in ranges', async () => {
      const answer = await fetch(await link(), { headers: { range: 'bytes=12-17' } });
      expect([answer.status, await answer.text()]).toEqual([206, '234567']);
    });

    it('cannot be downloaded after it has expired', async () => {
      const expires = inSeconds(3);
      const url = await link({ expires });
      await eventually('the link expires', async () => (await statusOf(url)) !== 200);
      expect(Date.now()).toBeGreaterThanOrEqual(Math.floor(expires.getTime() / 1_000) * 1_000);
      const answer = await fetch(url);
      expect([answer.status, await answer.text()]).toEqual([403, expect.stringContaining('expired')]);
    });

    it.each([
      ['another file', (url: URL) => (url.pathname = url.pathname.replace('a.zip', 'b.zip'))],
      ['a later end', ({ searchParams: query }: URL) => query.set('X-Amz-Expires', '604800')],
      ['a later beginning', ({ searchParams: query }: URL) => query.set('X-Amz-Date', '20991231T000000Z')],
      ['another type', ({ searchParams: query }: URL) => query.set('response-content-type', 'text/html')],
      ['another name', ({ searchParams: query }: URL) => query.set('response-content-disposition', 'inline')],
      ['another signature', ({ searchParams: query }: URL) => query.set('X-Amz-Signature', '0'.repeat(64))],
      ['no signature', (url: URL) => (url.search = '')],
    ])('cannot be downloaded with %s', async (_, change: (url: URL) => unknown) => {
      const url = new URL(await link());
      change(url);
      expect(await statusOf(url.href)).toBe(403);
    });

    it('can only be read', async () => {
      const url = await link();
      for (const method of ['PUT', 'DELETE']) expect(await statusOf(url, method)).toBe(403);
      expect(await contentOf(files, name)).toBe(bytes.toString());
    });
  });

  it.each([
    ['another bucket', { S3_BUCKET: 'none' }],
    ['another secret', { AWS_SECRET_ACCESS_KEY: 'wrong-secret' }],
    ['an address without a server', { S3_ENDPOINT: 'http://127.0.0.1:1' }],
  ])('reject every call with %s', async (_, wrong) => {
    const files = await open({ ...settings(), ...wrong });
    await expect(files.put(newName(), bytes, 'image/png')).rejects.toThrow();
    const { file } = await made(MEGABYTE);
    await expect(files.putFile(newName(), file, 'image/png')).rejects.toThrow();
    expect(existsSync(file)).toBe(true);
    await expect(files.check()).rejects.toThrow();
    await expect(namesOf(files)).rejects.toThrow();
    await files.stop();
  });
});

describeWithMinio('files in an S3', (start) => {
  let minio: Minio;
  let files: Files;
  beforeAll(async () => {
    minio = await start();
    files = await open({ ...minio.settings, FILES_PROVIDER: 's3' });
  });
  afterAll(async () => {
    await files.stop();
    await minio.stop();
  });

  it('are complete or absent when the server is killed during an upload, and stored ones survive', async () => {
    const names = Array.from({ length: 40 }, () => newName('killed/'));
    const first = files.put(names[0]!, bytes, 'image/png');
    const others = names.slice(1).map((name) => first.then(() => files.put(name, bytes, 'image/png')));
    const kept = Promise.allSettled([first, ...others]);
    await Promise.any(others);
    await minio.restart();
    const isKept = (await kept).map(({ status }) => status === 'fulfilled');
    const listed = await namesOf(files, 'killed/');
    expect(listed).toEqual(expect.arrayContaining(names.filter((_, index) => isKept[index])));
    for (const name of listed) expect(await contentOf(files, name)).toBe(bytes.toString());
  });

  it('are given up when the server does not answer', async () => {
    await minio.freeze();
    await expect(files.put(newName(), bytes, 'image/png')).rejects.toThrow(/requestTimeout/);
    await minio.thaw();
    await expect(files.check()).resolves.toBeUndefined();
  });
});
