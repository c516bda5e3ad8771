import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { openPromise } from 'yauzl';
import { packInto, type ZipEntry } from '../../src/jobs/zip.ts';

const MEGABYTE = 2 ** 20;
const CHUNK = Buffer.alloc(65_536, 'OpenMusic ');

let directory: string;
beforeAll(async () => void (directory = await mkdtemp(path.join(tmpdir(), 'openmusic-zip-'))));
afterAll(() => rm(directory, { recursive: true }));

function* chunks(megabytes: number): Generator<Buffer> {
  for (let count = 0; count < megabytes * 16; count++) yield Buffer.from(CHUNK);
}

const file = (name: string, megabytes: number, mediaType: string): ZipEntry => ({
  name,
  mediaType,
  open: () =>
    Promise.resolve({
      size: megabytes * MEGABYTE,
      read: () => Promise.resolve(Readable.from(chunks(megabytes))),
      close: () => Promise.resolve(),
    }),
});

async function sizesIn(archive: string): Promise<number[]> {
  const zip = await openPromise(archive, { lazyEntries: true, strictFileNames: true });
  const sizes: number[] = [];
  for await (const entry of zip.eachEntry()) {
    let size = 0;
    for await (const chunk of (await zip.openReadStreamPromise(entry)) as AsyncIterable<Buffer>) size += chunk.length;
    sizes.push(size);
  }
  return sizes;
}

it('packs 300 MB in bounded memory', async () => {
  const archive = path.join(directory, 'archive.zip');
  const entries = [
    file('a.png', 100, 'image/png'),
    file('b.json', 50, 'application/json'),
    file('c.png', 150, 'image/png'),
  ];
  const before = process.memoryUsage().rss;
  let most = before;
  const watching = setInterval(() => (most = Math.max(most, process.memoryUsage().rss)), 20);
  const { signal } = new AbortController();
  const packing = packInto(archive, entries, { signal, onEntry: () => Promise.resolve() });
  const { size } = await packing.finally(() => clearInterval(watching));
  const growth = Math.round((most - before) / MEGABYTE);
  process.stdout.write(`300 MB packed: ${growth} MiB more\n`);
  expect(size).toBeGreaterThan(250 * MEGABYTE);
  expect(growth).toBeLessThan(96);
  expect(await sizesIn(archive)).toEqual([100 * MEGABYTE, 50 * MEGABYTE, 150 * MEGABYTE]);
});
