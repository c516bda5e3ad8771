import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { isFilesOutage } from '../guarded-files.ts';
import { archive } from './archive.ts';
import { onScratch } from './scratch-file.ts';

describe('the payload of an archive', () => {
  const named = (count: number) => Array.from({ length: count }, (_, n) => `file-${n}`);

  it.each([
    [true, 'one', named(1)],
    [true, 'a thousand', named(1_000)],
    [false, 'none', []],
    [false, 'more than a thousand', named(1_001)],
    [false, 'one twice', ['file-1', 'file-2', 'file-1']],
    [false, 'what is no text', [1]],
  ])('%p: %s', (fine, _, fileIds) => {
    expect(archive.payload.safeParse({ fileIds }).success).toBe(fine);
  });
});

describe('a file on scratch', () => {
  let scratch: string;
  beforeEach(async () => {
    scratch = await mkdtemp(path.join(tmpdir(), 'openmusic-scratch-'));
  });
  afterEach(() => rm(scratch, { recursive: true }));

  const attempt = (number: number, make: (file: string) => Promise<unknown>) =>
    onScratch({ jobId: 'job-1', attempt: number }, { scratch }, make);
  const left = () => readdir(scratch);

  it('is deleted after success and after failure', async () => {
    await attempt(1, (file) => writeFile(file, 'whole'));
    const broken = attempt(2, async (file) => {
      await writeFile(file, 'half');
      throw new Error('the disk is broken');
    });
    await expect(broken).rejects.toThrow('the disk is broken');
    expect(await left()).toEqual([]);
  });

  it('fails like a store of files when the disk is full', async () => {
    const full = attempt(1, () => Promise.reject(Object.assign(new Error('no space left'), { code: 'ENOSPC' })));
    expect(isFilesOutage(await full.catch((error: unknown) => error))).toBe(true);
  });

  it('may be deleted already', async () => {
    await expect(attempt(1, () => Promise.resolve('moved'))).resolves.toBe('moved');
  });

  it('is never that of another attempt, which may still run', async () => {
    const files: string[] = [];
    await attempt(1, (file) => Promise.resolve(files.push(file)));
    await attempt(2, (file) => Promise.resolve(files.push(file)));
    expect(new Set(files).size).toBe(2);
  });

  it('is made after files of earlier attempts and old files were deleted; others stay', async () => {
    const yesterday = new Date(Date.now() - 90_000_000);
    const others = ['job-10.1', 'job-2.1', 'notes.txt'];
    for (const name of ['job-1.1', 'job-1.2', 'job-3.1', ...others]) await writeFile(path.join(scratch, name), '');
    for (const name of ['job-3.1', 'notes.txt']) await utimes(path.join(scratch, name), yesterday, yesterday);
    expect((await attempt(3, left)) as string[]).toEqual(expect.arrayContaining(others));
    expect(await left()).toHaveLength(others.length);
  });
});
