import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { tryLock } from './lock.ts';

const TAKERS = 8;
const ROUNDS = 25;
/** No process has this pid, because it is above the largest one. */
const DEAD_HOLDER = `${2 ** 22 + 1}:1 x`;

let directory: string;
let file: string;
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'openmusic-lock-'));
  file = path.join(directory, 'lock');
});
afterEach(() => rm(directory, { recursive: true }));

const takeConcurrently = () => Promise.all(Array.from({ length: TAKERS }, () => tryLock(file)));

describe('a lock', () => {
  it('of a dead holder goes to exactly one of the processes that take it at the same time', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      await writeFile(file, DEAD_HOLDER);
      const kinds = (await takeConcurrently()).map(({ kind }) => kind);
      expect(kinds.filter((kind) => kind === 'taken')).toHaveLength(1);
      await rm(file);
    }
  });

  it('is reported as held or taken when it is released at that moment', async () => {
    const takeAndRelease = async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const lock = await tryLock(file);
        if (lock.kind === 'taken') await lock.release();
      }
    };
    await Promise.all(Array.from({ length: TAKERS }, takeAndRelease));
  });
});
