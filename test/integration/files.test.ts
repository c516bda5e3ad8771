import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { loadConfig } from '../../src/config.ts';
import type { ByteRange, Files, ListedFile } from '../../src/providers/files/files.ts';
import { openFiles } from '../../src/providers/files/providers.ts';
import { namespace } from '../support/servers/index.ts';
import { describeWithMinio, describeWithS3, type Minio, type S3Server } from '../support/servers/minio.ts';

type Settings = Readonly<Record<string, string>>;

const bytes = Buffer.from('0123456789'.repeat(20_000));
let count = 0;
const newName = (prefix = 'covers/') => `${prefix}file-${++count}.png`;

const open = (settings: Settings): Promise<Files> => openFiles(loadConfig({ ...settings }, '/nowhere'));

async function contentOf(files: Files, name: string, range?: ByteRange): Promise<string | undefined> {
  const file = await files.open(name);
  return file && (await buffer(await file.read(range))).toString();
}

async function listOf(files: Files, prefix = ''): Promise<ListedFile[]> {
  const listed: ListedFile[] = [];
  for await (const file of files.list(prefix)) listed.push(file);
  return listed;
}

const namesOf = async (files: Files, prefix = '') => (await listOf(files, prefix)).map(({ name }) => name).sort();

async function removeAll(files: Files): Promise<void> {
  await Promise.all((await namesOf(files)).map((name) => files.remove(name)));
}

/** What every provider promises. */
function filesSuite(settingsOf: () => Settings): void {
  const opened: Files[] = [];
  /** Nobody else's. */
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

  it('gives back what was put, and its size', async () => {
    const name = newName();
    await files.put(name, bytes, 'image/png');
    const file = await files.open(name);
    expect(file?.size).toBe(bytes.length);
    expect((await buffer(await file!.read())).equals(bytes)).toBe(true);
  });

  it('gives back a part, both ends included', async () => {
    const name = newName();
    await files.put(name, bytes, 'image/png');
    expect(await contentOf(files, name, { start: 0, end: 0 })).toBe('0');
    expect(await contentOf(files, name, { start: 12, end: 17 })).toBe('234567');
    expect(await contentOf(files, name, { start: 199_998, end: 199_999 })).toBe('89');
    const file = await files.open(name);
    await file!.close();
  });

  it('has nothing under a name that nobody put', async () => {
    expect(await files.open('covers/none.png')).toBeUndefined();
    expect(await files.open('none')).toBeUndefined();
  });

  it('lists what begins so, with its time', async () => {
    const began = Date.now();
    const [one, other, elsewhere] = [newName('listed/'), newName('listed/'), newName('list/')];
    for (const name of [one, other, elsewhere]) await files.put(name, Buffer.from('x'), 'image/png');
    expect(await namesOf(files, 'listed/')).toEqual([one, other]);
    expect(await namesOf(files, 'list')).toEqual([one, other, elsewhere].sort());
    expect(await namesOf(files, 'none/')).toEqual([]);
    for (const { modifiedAt } of await listOf(files, 'list')) expect(Math.abs(modifiedAt - began)).toBeLessThan(60_000);
  });

  it('removes, also what is not there', async () => {
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
  ])('takes %j for no name', async (name) => {
    const before = await namesOf(files);
    for (const attempt of [() => files.put(name, bytes, 'image/png'), () => files.open(name), () => files.remove(name)])
      await expect(attempt()).rejects.toThrow(/is no name of a file/);
    expect(await namesOf(files)).toEqual(before);
  });

  it('says that it works', async () => {
    await expect(files.check()).resolves.toBeUndefined();
  });
}

describe('files on disk', () => {
  let dataDir: string;
  beforeAll(async () => {
    dataDir = await mkdtemp(path.join(tmpdir(), 'openmusic-files-'));
  });
  afterAll(() => rm(dataDir, { recursive: true }));

  describe('keep what is promised', () => filesSuite(() => ({ DATA_DIR: dataDir })));

  /** Files in a directory that only this test knows. */
  async function openOwn() {
    const NAMESPACE = namespace();
    const directory = path.join(dataDir, 'files', NAMESPACE);
    return { directory, files: await open({ DATA_DIR: dataDir, NAMESPACE }) };
  }

  it('leaves nothing behind when it cannot put', async () => {
    const { directory, files } = await openOwn();
    await mkdir(path.join(directory, 'covers', 'taken.png'), { recursive: true });
    await expect(files.put('covers/taken.png', bytes, 'image/png')).rejects.toThrow();
    await writeFile(path.join(directory, 'no-directory'), '');
    await expect(files.put('no-directory/a.png', bytes, 'image/png')).rejects.toThrow();
    expect(await namesOf(files)).toEqual(['no-directory']);
    expect(await readdir(path.join(directory, 'covers'))).toEqual(['taken.png']);
  });

  it('does not list what is not called as ours are', async () => {
    const { directory, files } = await openOwn();
    for (const name of ['.nfs000', 'my cover.png']) await writeFile(path.join(directory, name), '');
    expect(await namesOf(files)).toEqual([]);
  });

  it('says so when its directory is gone', async () => {
    const { directory, files } = await openOwn();
    await rm(directory, { recursive: true });
    await expect(files.check()).rejects.toThrow(/ENOENT/);
  });

  it.each([
    ['half-written', ['covers/a.png.part'], undefined],
    ['before-rename', ['covers/a.png.part'], undefined],
    ['after-rename', ['covers/a.png'], 100_000],
  ])('killed with SIGKILL when it is %s leaves only what is listed', async (point, names, size) => {
    const { directory, files } = await openOwn();
    const entry = fileURLToPath(new URL('../support/dying-put.ts', import.meta.url));
    const child = spawn(process.execPath, [entry, directory, 'covers/a.png', point], { stdio: 'inherit' });
    expect(await once(child, 'exit')).toEqual([null, 'SIGKILL']);
    expect(await namesOf(files)).toEqual(names);
    const file = await files.open('covers/a.png');
    expect(file?.size).toBe(size);
    await file?.close();
    for (const name of names) await files.remove(name);
    expect(await readdir(path.join(directory, 'covers'))).toEqual([]);
  });
});

describeWithS3('files in S3', (start) => {
  let server: S3Server;
  beforeAll(async () => {
    server = await start();
  });
  afterAll(() => server.stop());
  const settings = (): Settings => ({ ...server.settings, FILES_PROVIDER: 's3' });

  describe('keep what is promised', () => filesSuite(settings));

  it('are listed also when one page does not hold them', async () => {
    const files = await open({ ...settings(), NAMESPACE: namespace() });
    const names = Array.from({ length: 1_001 }, (_, index) => `many/${index}.png`).sort();
    for (let index = 0; index < names.length; index += 50)
      await Promise.all(names.slice(index, index + 50).map((name) => files.put(name, Buffer.from('x'), 'image/png')));
    expect(await namesOf(files, 'many/')).toEqual(names);
    await removeAll(files);
    await files.stop();
  });

  it.each([
    ['another bucket', { S3_BUCKET: 'none' }],
    ['another secret', { AWS_SECRET_ACCESS_KEY: 'wrong-secret' }],
    ['nobody at the address', { S3_ENDPOINT: 'http://127.0.0.1:1' }],
  ])('reject everything with %s', async (_, wrong) => {
    const files = await open({ ...settings(), ...wrong });
    await expect(files.put(newName(), bytes, 'image/png')).rejects.toThrow();
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

  it('that is killed under way are there wholly or not at all, and those that were kept are', async () => {
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

  it('that does not answer are given up', async () => {
    await minio.freeze();
    await expect(files.put(newName(), bytes, 'image/png')).rejects.toThrow(/requestTimeout/);
    await minio.thaw();
    await expect(files.check()).resolves.toBeUndefined();
  });
});
