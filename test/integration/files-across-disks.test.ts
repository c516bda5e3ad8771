import { existsSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import type { Files } from '../../src/providers/files/files.ts';
import { killDuringPut } from '../support/killed-put.ts';
import { keptHashOf, namesOf, open, removeAll, useScratch } from '../support/stored-files.ts';
import { namespace } from '../support/servers/index.ts';
import { describeWithSmallDisk, type SmallDisk } from '../support/small-disk.ts';

const MEGABYTE = 2 ** 20;
const NAME = 'results/a.zip';
const { made } = useScratch();

describeWithSmallDisk('a file that is stored on another disk than it was made on', (start) => {
  let disk: SmallDisk;
  let settings: Record<string, string>;
  let files: Files;
  beforeAll(async () => {
    disk = await start(64);
  });
  afterAll(() => disk.stop());
  beforeEach(async () => {
    settings = { DATA_DIR: disk.path, NAMESPACE: namespace() };
    files = await open(settings);
  });
  afterEach(() => removeAll(files));

  it('is complete there, and gone from its first place', async () => {
    const { file, hash } = await made(40 * MEGABYTE);
    await files.putFile(NAME, file, 'application/zip');
    expect([await keptHashOf(files, NAME), existsSync(file)]).toEqual([hash, false]);
    expect(await namesOf(files)).toEqual([NAME]);
  });

  it('replaces an earlier one', async () => {
    const [first, second] = [await made(2 * MEGABYTE), await made(MEGABYTE)];
    for (const { file, hash } of [first, second]) {
      await files.putFile(NAME, file, 'application/zip');
      expect(await keptHashOf(files, NAME)).toBe(hash);
    }
  });

  it('is absent without enough room, and stays where it was', async () => {
    const { file } = await made(80 * MEGABYTE);
    await expect(files.putFile(NAME, file, 'application/zip')).rejects.toThrow(/ENOSPC/);
    expect([await namesOf(files), existsSync(file)]).toEqual([[], true]);
  });

  it('leaves only a partial file that blocks nothing when the moving process is killed in the middle', async () => {
    const { file, hash } = await made(20 * MEGABYTE);
    await killDuringPut(settings, [NAME, 'half-read', file]);
    const left = [expect.stringMatching(/^results\/a\.zip\.[\da-f]+\.part$/)];
    expect([await namesOf(files), existsSync(file)]).toEqual([left, true]);
    await files.putFile(NAME, file, 'application/zip');
    expect([await keptHashOf(files, NAME), await namesOf(files)]).toEqual([hash, [NAME, ...left]]);
  });
});
