import { expect } from '@jest/globals';
import { type CachedMusic, isApplied } from './cached-music.ts';
import { createClient } from './client.ts';
import type { PlannedRequest } from './history/index.ts';
import { create } from './history/playlists.ts';
import { eventually } from './observed.ts';
import { newPerson } from './people.ts';
import type { OpenMusicProcess } from './processes.ts';

/** A person's list of playlists, during the creation of one while a projector is frozen before its commit. */
export interface ChangingList {
  /** Whether every API process answers it from the cache. */
  isCached(): Promise<boolean>;
  /** Expects every API process to show the list as it was before. */
  mustBeOld(): Promise<void>;
  /** Waits until the playlist is committed: from then on every API process must show it. */
  mustBeNew(): Promise<void>;
}

const TIMES = 20;

/** Creates a playlist, and resolves when the projector has marked the list that shows it, and is frozen. */
export async function changeListHalfway(
  { apis, system }: CachedMusic,
  projector: OpenMusicProcess,
  write: (request: PlannedRequest) => void,
): Promise<ChangingList> {
  const { id, username, accessToken } = await newPerson(apis[0]!.url);
  const lists = () => Promise.all(apis.map(({ url }) => createClient(url, accessToken).get('/playlists')));
  const isCached = async () => (await lists()).every(({ headers }) => headers.get('x-data-source') === 'cache');
  /** Often, because a process with a slow Redis sometimes reads Postgres. */
  async function mustHave(playlists: number): Promise<void> {
    for (let time = 0; time < TIMES; time++) {
      const shown = (await lists()).map(({ body }) => body?.data?.playlists?.length);
      expect(shown).toEqual(apis.map(() => playlists));
    }
  }
  const mustBeOld = () => mustHave(0);
  const mustBeNew = async () => {
    await eventually('the playlist is committed', () => isApplied(system.env));
    await mustHave(1);
  };
  await eventually('the list without it is cached', isCached);
  projector.arm();
  write(create({ id, username, accessToken }, 'Made late'));
  await eventually('the projector is frozen', projector.isFrozen);
  expect(await isCached()).toBe(false);
  return { isCached, mustBeOld, mustBeNew };
}
