import { describe, expect, it } from '@jest/globals';
import { cacheContract } from '../../test/contract/cache.ts';
import { isEpoch, isMark } from './cache.ts';
import { createMemoryCache } from './memory.ts';

cacheContract('The map in process', () => {
  let time = 0;
  const pass = (ms: number) => {
    time += ms;
    return Promise.resolve();
  };
  return Promise.resolve({ server: createMemoryCache({ now: () => time }), pass });
});

describe('the map in process', () => {
  const now = () => 0;
  const variant = 'v';

  it('is another server each time', async () => {
    const [one, other] = [createMemoryCache({ now }), createMemoryCache({ now })];
    expect((await one.identify()).runId).not.toBe((await other.identify()).runId);
  });

  it('that is full lets entries go, and neither marks nor epochs', async () => {
    const server = createMemoryCache({ now, size: 1_000 });
    await server.begin('life');
    await server.mark('life', ['marked'], 'batch');
    const keys = Array.from({ length: 50 }, (_, index) => `album/${index}`);
    for (const key of keys) {
      const validity = await server.lease('life', { key, epochs: ['songs'] }, { token: key, variant });
      expect(await server.fill('life', key, key, `=${validity}\n${'x'.repeat(100)}`)).toBe(true);
    }
    const [marked, epoch, ...entries] = (await server.read('life', ['marked', 'songs', ...keys]))!;
    expect([isMark(marked), isEpoch(epoch)]).toEqual([true, true]);
    const kept = entries.map((entry) => entry !== undefined);
    expect(kept.filter(Boolean).length).toBeLessThan(10);
    expect([kept.at(0), kept.at(-1)]).toEqual([false, true]);
  });
});
