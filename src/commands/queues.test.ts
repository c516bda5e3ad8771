import { describe, expect, it } from '@jest/globals';
import { createQueues } from './queues.ts';

/** Work that runs until the test ends it. */
function open() {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const work = { began: false, run: () => ((work.began = true), promise), end: resolve, fail: reject };
  return work;
}
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('queues', () => {
  it('run work of one name one after the other, in the order of the calls', async () => {
    const inTurn = createQueues();
    const works = [open(), open(), open()];
    const results = works.map((work) => inTurn('a', work.run));
    for (const [index, work] of works.entries()) {
      await turn();
      expect(works.map(({ began }) => began)).toEqual(works.map((_, other) => other <= index));
      work.end(`${index}`);
    }
    expect(await Promise.all(results)).toEqual(['0', '1', '2']);
  });

  it('run work of different names concurrently', async () => {
    const inTurn = createQueues();
    const [a, b] = [open(), open()];
    const results = [inTurn('a', a.run), inTurn('b', b.run)];
    expect([a.began, b.began]).toEqual([true, true]);
    b.end('b');
    a.end('a');
    expect(await Promise.all(results)).toEqual(['a', 'b']);
  });

  it('go on after failed work, and reject only its caller', async () => {
    const inTurn = createQueues();
    const [bad, good] = [open(), open()];
    const [failing, going] = [inTurn('a', bad.run), inTurn('a', good.run)];
    bad.fail(new Error('no'));
    await expect(failing).rejects.toThrow('no');
    good.end('yes');
    expect(await going).toBe('yes');
  });
});
