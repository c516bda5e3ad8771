import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { tryLock } from './lock.ts';

const TAKERS = 8;
const ROUNDS = 25;
/** No process has this pid: it is past the largest. */
const OF_THE_DEAD = `${2 ** 22 + 1}:1 x`;

let directory: string;
let file: string;
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'openmusic-lock-'));
  file = path.join(directory, 'lock');
});
afterEach(() => rm(directory, { recursive: true }));

const takeAtOnce = () => Promise.all(Array.from({ length: TAKERS }, () => tryLock(file)));

describe('a lock', () => {
  it('whose holder has died goes to one of those who take it at once', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      await writeFile(file, OF_THE_DEAD);
      const kinds = (await takeAtOnce()).map(({ kind }) => kind);
      expect(kinds.filter((kind) => kind === 'taken')).toHaveLength(1);
      await rm(file);
    }
  });

  it('is held or taken, also when it is released at that moment', async () => {
    const takeAndRelease = async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const lock = await tryLock(file);
        if (lock.kind === 'taken') await lock.release();
      }
    };
    await Promise.all(Array.from({ length: TAKERS }, takeAndRelease));
  });
});
