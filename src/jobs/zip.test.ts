import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readlink, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Entry, openPromise } from 'yauzl';
import type { OpenFile } from '../providers/files/files.ts';
import { packInto, type ZipEntry } from './zip.ts';

const MEGABYTE = 2 ** 20;
const CHUNK = Buffer.alloc(65_536, 'OpenMusic ');

let directory: string;
let archive: string;
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'openmusic-zip-'));
  archive = path.join(directory, 'archive.zip');
});
afterAll(() => rm(directory, { recursive: true }));

/** Files, and the streams by which they were read. */
function shelf() {
  const streams: Readable[] = [];
  const opened = (size: number, read: () => Readable): OpenFile => ({
    size,
    read() {
      streams.push(read());
      return Promise.resolve(streams.at(-1)!);
    },
    close: () => Promise.resolve(),
  });
  const entry = (name: string, open: ZipEntry['open'], mediaType = 'application/json'): ZipEntry => ({ name, mediaType, open }); // prettier-ignore
  return {
    streams,
    file: (name: string, text = name, mediaType?: string) =>
      entry(name, () => Promise.resolve(opened(Buffer.byteLength(text), () => Readable.from([Buffer.from(text)]))), mediaType), // prettier-ignore
    missing: (name: string) => entry(name, () => Promise.resolve(undefined)),
    large: (name: string, megabytes: number, { mediaType = 'image/png', size = megabytes * MEGABYTE } = {}) =>
      entry(name, () => Promise.resolve(opened(size, () => Readable.from(chunks(megabytes)))), mediaType),
    broken: (name: string) => entry(name, () => Promise.resolve(opened(10, () => Readable.from(breaking())))),
  };
}

function* chunks(megabytes: number): Generator<Buffer> {
  for (let count = 0; count < megabytes * 16; count++) yield Buffer.from(CHUNK);
}

function* breaking(): Generator<Buffer> {
  yield Buffer.from('01234');
  throw new Error('the disk is broken');
}

const never = new AbortController().signal;

async function pack(entries: Iterable<ZipEntry>, signal = never) {
  const heard: [string, string][] = [];
  const onEntry = ({ name }: ZipEntry, outcome: string) => Promise.resolve(void heard.push([name, outcome]));
  return { ...(await packInto(archive, entries, { signal, onEntry })), heard };
}

/** What another program reads from the archive, in order. `look` maps each entry. */
async function unpacked<T>(look: (entry: Entry, bytes: Readable) => Promise<T>): Promise<T[]> {
  const zip = await openPromise(archive, { lazyEntries: true, strictFileNames: true });
  const found: T[] = [];
  for await (const entry of zip.eachEntry()) found.push(await look(entry, await zip.openReadStreamPromise(entry)));
  return found;
}

const texts = () => unpacked(async ({ fileName }, bytes) => [fileName, (await buffer(bytes)).toString()]);
const names = () => unpacked(async ({ fileName }, bytes) => (await buffer(bytes), fileName));

/** Files of the directory that this process has open, on systems that say so. */
async function openHere(): Promise<string[]> {
  if (!existsSync('/proc/self/fd')) return [];
  const handles = await readdir('/proc/self/fd');
  const targets = await Promise.all(handles.map((handle) => readlink(`/proc/self/fd/${handle}`).catch(() => '')));
  return targets.filter((target) => target.startsWith(directory));
}

describe('an archive', () => {
  it('contains every file unchanged and in order, and returns its size', async () => {
    const { file } = shelf();
    const result = await pack([file('b.json', '{"b":1}'), file('a.txt', ''), file('c.zip', 'PK', 'application/zip')]);
    expect(result).toMatchObject({ packed: 3, missing: 0, size: (await stat(archive)).size });
    expect(result.heard).toEqual([
      ['b.json', 'packed'],
      ['a.txt', 'packed'],
      ['c.zip', 'packed'],
    ]);
    expect(await texts()).toEqual([
      ['b.json', '{"b":1}'],
      ['a.txt', ''],
      ['c.zip', 'PK'],
    ]);
  });

  it('compresses what can be compressed', async () => {
    const { large } = shelf();
    const dense = await pack([large('a.png', 1)]);
    const text = await pack([large('a.json', 1, { mediaType: 'application/json' })]);
    expect(dense.size).toBeGreaterThan(MEGABYTE);
    expect(text.size).toBeLessThan(MEGABYTE / 10);
    expect(await unpacked(async (_, bytes) => (await buffer(bytes)).equals(Buffer.concat([...chunks(1)])))).toEqual([
      true,
    ]);
  });

  it('skips missing files, and reports them', async () => {
    const { file, missing } = shelf();
    const result = await pack([missing('gone.json'), file('here.json'), missing('gone.json')]);
    expect(result).toMatchObject({ packed: 1, missing: 2 });
    expect(result.heard).toEqual([
      ['gone.json', 'missing'],
      ['here.json', 'packed'],
      ['gone.json', 'missing'],
    ]);
    expect(await names()).toEqual(['here.json']);
  });

  it('without files is empty', async () => {
    expect(await pack([])).toMatchObject({ packed: 0, missing: 0, size: 22 });
    expect(await names()).toEqual([]);
  });

  it('replaces what a dead attempt left', async () => {
    const { file, large } = shelf();
    await pack([large('old.png', 1)]);
    await pack([file('new.json')]);
    expect(await names()).toEqual(['new.json']);
  });

  it('opens one file at a time', async () => {
    const { streams, large } = shelf();
    let open = 0;
    const entries = Array.from({ length: 5 }, (_, index) => large(`${index}.png`, 1)).map((entry) => ({
      ...entry,
      open: () => {
        open = Math.max(open, streams.filter(({ closed }) => !closed).length + 1);
        return entry.open();
      },
    }));
    await pack(entries);
    expect([open, streams.length]).toEqual([1, 5]);
  });

  it('can contain 2,000 files', async () => {
    const { file } = shelf();
    const wanted = Array.from({ length: 2_000 }, (_, index) => `song-${index}.json`);
    expect(await pack(wanted.map((name) => file(name)))).toMatchObject({ packed: 2_000 });
    expect(await names()).toEqual(wanted);
  });
});

describe('names in an archive', () => {
  it.each([
    ['../../etc/passwd', '__.._etc_passwd'],
    ['/etc/passwd', '_etc_passwd'],
    ['C:\\Windows\\a.dll', 'C__Windows_a.dll'],
    ['..', '_'],
    ['', '_'],
    ['.bashrc', '_bashrc'],
    ['a\0b\r\n.json', 'a_b__.json'],
    ['end. ', 'end_'],
    ['CON', '_CON'],
    ['nul.txt', '_nul.txt'],
    ['console.txt', 'console.txt'],
    ['cod\u202egpj.exe', 'cod_gpj.exe'],
    ['\ud800.json', '\ufffd.json'],
    ['Mylo Xyloto – ünï 💿.json', 'Mylo Xyloto – ünï 💿.json'],
  ])('change %j to %j', async (wanted, name) => {
    await pack([shelf().file(wanted, 'x')]);
    expect(await names()).toEqual([name]);
  });

  it.each([
    ['are cut before the ending', `${'n'.repeat(300)}.json`, `${'n'.repeat(200)}.json`],
    ['are cut between two characters', `${'💿'.repeat(300)}.json`, `${'💿'.repeat(50)}.json`],
    ['are cut in a text that is no ending', `a.${'n'.repeat(300)}`, `a.${'n'.repeat(198)}`],
    ['become an underscore when nothing is left', '.'.repeat(100_000), '_'],
  ])('when too long: %s', async (_, wanted, name) => {
    await pack([shelf().file(wanted, 'x')]);
    expect(await names()).toEqual([name]);
  });

  it('are unique, also when case is ignored', async () => {
    const { file, missing } = shelf();
    const wanted = ['a.json', 'a (2).json', 'a.json', 'A.JSON', 'a.json', 'x', 'x', '\u00e9', 'e\u0301', 'ß', 'SS'];
    await pack([missing('a.json'), ...wanted.map((name) => file(name))]);
    expect(await names()).toEqual(
      ['a.json', 'a (2).json', 'a (3).json', 'A (4).JSON', 'a (5).json', 'x', 'x (2)', '\u00e9', 'e\u0301 (2)', 'ß', 'SS (2)'], // prettier-ignore
    );
  });
});

describe('a failed archive', () => {
  /** Expects that no file is left, and that all opened ones are closed. */
  async function expectNothingLeft(streams: readonly Readable[]): Promise<void> {
    expect(streams.map(({ destroyed }) => destroyed)).toEqual(streams.map(() => true));
    expect([await readdir(directory), await openHere()]).toEqual([[], []]);
  }

  it('is deleted at once when the signal fires in the middle of a file', async () => {
    const { streams, file, large } = shelf();
    const stop = new AbortController();
    const reason = new Error('the job was cancelled');
    const endless = large('endless.png', 2 ** 40);
    const packing = pack([file('a.json'), endless, file('b.json')], stop.signal);
    while ((await stat(archive).catch(() => ({ size: 0 }))).size < MEGABYTE);
    stop.abort(reason);
    await expect(packing).rejects.toBe(reason);
    expect(streams).toHaveLength(2);
    await expectNothingLeft(streams);
  });

  it('opens nothing when the signal fired before it began', async () => {
    const { streams, file } = shelf();
    await expect(pack([file('a.json')], AbortSignal.abort(new Error('no')))).rejects.toThrow('no');
    expect(streams).toEqual([]);
    await expectNothingLeft(streams);
  });

  it('is deleted when a file breaks in the middle', async () => {
    const { streams, file, broken } = shelf();
    await expect(pack([file('a.json'), broken('b.json')])).rejects.toThrow('the disk is broken');
    await expectNothingLeft(streams);
  });

  it.each([
    ['short', 2 * MEGABYTE],
    ['long', MEGABYTE / 2],
  ])('is deleted when a file is too %s', async (_, size) => {
    const { streams, large } = shelf();
    await expect(pack([large('a.png', 1, { size }), large('b.png', 1)])).rejects.toThrow(/unexpected number of bytes/);
    await expectNothingLeft(streams);
  });

  it('is deleted when a file cannot be opened, read or reported', async () => {
    const { streams, file } = shelf();
    const fail = () => Promise.reject(new Error('no S3'));
    await expect(pack([{ ...file('a.json'), open: fail }])).rejects.toThrow('no S3');
    const unreadable = () => Promise.resolve({ size: 1, read: fail, close: () => Promise.resolve() });
    await expect(pack([{ ...file('a.json'), open: unreadable }])).rejects.toThrow('no S3');
    await expect(packInto(archive, [file('a.json')], { signal: never, onEntry: fail })).rejects.toThrow('no S3');
    await expectNothingLeft(streams);
  });

  it('rejects when the directory is missing', async () => {
    const { streams, large } = shelf();
    const options = { signal: never, onEntry: () => Promise.resolve() };
    const nowhere = path.join(directory, 'none', 'a.zip');
    await expect(packInto(nowhere, [large('a.png', 10)], options)).rejects.toThrow(/ENOENT/);
    await expectNothingLeft(streams);
  });
});
