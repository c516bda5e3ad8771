import fc from 'fast-check';
import { describe, expect, it } from '@jest/globals';
import { createSingleFlight } from './single-flight.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Flights that land when the test says so, each with its number as the answer. */
function airport() {
  const share = createSingleFlight();
  const departed: { key: string; land(): void; fail(error: Error): void }[] = [];
  const ask = (key = 'a') =>
    share(key, () => {
      const { promise, resolve, reject } = Promise.withResolvers<number>();
      const number = departed.push({ key, land: () => resolve(number), fail: reject });
      return promise;
    });
  return { ask, departed };
}

describe('flights', () => {
  it('depart at once while no other is under way', async () => {
    const { ask, departed } = airport();
    const asked = ask();
    expect(departed).toHaveLength(1);
    departed[0]!.land();
    expect(await asked).toBe(1);
    const again = ask();
    departed[1]!.land();
    expect(await again).toBe(2);
  });

  it('take together all who asked while the one before was under way, when it has landed', async () => {
    const { ask, departed } = airport();
    const [first, ...others] = [ask(), ask(), ask()];
    await turn();
    expect(departed).toHaveLength(1);
    departed[0]!.land();
    await turn();
    expect(departed).toHaveLength(2);
    departed[1]!.land();
    expect(await Promise.all([first, ...others])).toEqual([1, 2, 2]);
    await turn();
    expect(departed).toHaveLength(2);
  });

  it('of different keys know nothing of each other', async () => {
    const { ask, departed } = airport();
    const [a, b] = [ask('a'), ask('b')];
    expect(departed.map(({ key }) => key)).toEqual(['a', 'b']);
    departed[1]!.land();
    expect(await b).toBe(2);
    departed[0]!.land();
    expect(await a).toBe(1);
  });

  it('that fail do so for their own, and the next one departs', async () => {
    const { ask, departed } = airport();
    const [first, second, third] = [ask(), ask(), ask()];
    departed[0]!.fail(new Error('first'));
    await expect(first).rejects.toThrow('first');
    await turn();
    departed[1]!.fail(new Error('second'));
    await expect(second).rejects.toThrow('second');
    await expect(third).rejects.toThrow('second');
    const fourth = ask();
    departed[2]!.land();
    expect(await fourth).toBe(3);
  });

  it('never answer by what was begun before the question, and are one at a time', () => {
    const steps = fc.array(fc.constantFrom('ask', 'land', 'fail', 'wait a little', 'wait'), {
      maxLength: 40,
      size: 'max',
    });
    return fc.assert(fc.asyncProperty(steps, isFair), { numRuns: 500 });
  });
});

/** Whoever asks gets a flight that departed after; no flight departs before the one before it has ended. */
async function isFair(steps: readonly string[]): Promise<void> {
  const { ask, departed } = airport();
  const answers: Promise<void>[] = [];
  let ended = 0;
  const end = (how: 'land' | 'fail') => {
    expect(departed.length - ended).toBeLessThanOrEqual(1);
    if (ended === departed.length) return;
    const flight = departed[ended++]!;
    if (how === 'land') flight.land();
    else flight.fail(new Error(`${ended}`));
  };
  const expectLater = async (already: number) => {
    const answer = await ask().catch((error: unknown) => Number((error as Error).message));
    expect(answer).toBeGreaterThan(already);
  };
  for (const step of steps) {
    if (step === 'ask') answers.push(expectLater(departed.length));
    else if (step === 'wait') await turn();
    else if (step === 'wait a little') await Promise.resolve();
    else end(step as 'land' | 'fail');
  }
  for (await turn(); ended < departed.length; await turn()) end('land');
  await Promise.all(answers);
}
