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

  it('has another run id each time', async () => {
    const [one, other] = [createMemoryCache({ now }), createMemoryCache({ now })];
    expect((await one.identify()).runId).not.toBe((await other.identify()).runId);
  });

  it('evicts entries when it is full, but neither marks nor epochs', async () => {
    const server = createMemoryCache({ now, size: 1_000 });
    await server.begin('incarnation');
    await server.mark('incarnation', ['marked'], 'batch');
    const keys = Array.from({ length: 50 }, (_, index) => `album/${index}`);
    for (const key of keys) {
      const validity = await server.lease('incarnation', { key, epochs: ['songs'] }, { token: key, variant });
      expect(await server.fill('incarnation', key, key, `=${validity}\n${'x'.repeat(100)}`)).toBe(true);
    }
    const [marked, epoch, ...entries] = (await server.read('incarnation', ['marked', 'songs', ...keys]))!;
    expect([isMark(marked), isEpoch(epoch)]).toEqual([true, true]);
    const present = entries.map((entry) => entry !== undefined);
    expect(present.filter(Boolean).length).toBeLessThan(10);
    expect([present.at(0), present.at(-1)]).toEqual([false, true]);
  });
});
