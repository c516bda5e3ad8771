import fc from 'fast-check';
import { describe, expect, it } from '@jest/globals';
import { createSingleFlight, shareRunning } from './single-flight.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Calls that end when the test says so, each with its number as the result. */
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

describe('single-flight', () => {
  it('runs a call at once while no other is running', async () => {
    const { ask, departed } = airport();
    const asked = ask();
    expect(departed).toHaveLength(1);
    departed[0]!.land();
    expect(await asked).toBe(1);
    const again = ask();
    departed[1]!.land();
    expect(await again).toBe(2);
  });

  it('shares the next call between all callers that came during the one before', async () => {
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

  it('runs calls of different keys independently', async () => {
    const { ask, departed } = airport();
    const [a, b] = [ask('a'), ask('b')];
    expect(departed.map(({ key }) => key)).toEqual(['a', 'b']);
    departed[1]!.land();
    expect(await b).toBe(2);
    departed[0]!.land();
    expect(await a).toBe(1);
  });

  it('rejects only the callers of a failed call, and runs the next one', async () => {
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

  it('never answers with a call that began before the caller came, and runs one call at a time', () => {
    const steps = fc.array(fc.constantFrom('ask', 'land', 'fail', 'wait a little', 'wait'), {
      maxLength: 40,
      size: 'max',
    });
    return fc.assert(fc.asyncProperty(steps, isFair), { numRuns: 500 });
  });
});

/** Each caller gets a call that began after it came, and no call begins before the one before it has ended. */
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

it('shareRunning shares a running call, and runs another one when it has ended', async () => {
  const { ask, departed } = airport();
  let next = 0;
  const share = shareRunning(() => ask(`${next++}`));
  const answers = Promise.all([share(), share()]);
  departed[0]!.land();
  expect(await answers).toEqual([1, 1]);
  const later = share();
  departed[1]!.land();
  expect(await later).toBe(2);
});
