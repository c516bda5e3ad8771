import { setImmediate as tick } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { reasonOf } from '../errors.ts';
import { batch, batchWrites } from './batch.ts';

/** Calls that the test answers itself. */
function open(maxSize?: number) {
  const calls: { asked: readonly number[]; answer: PromiseWithResolvers<readonly string[]> }[] = [];
  const ask = batch<number, string>((asked) => {
    const answer = Promise.withResolvers<readonly string[]>();
    calls.push({ asked, answer });
    return answer.promise;
  }, maxSize);
  const answer = (index: number) => calls[index]!.answer.resolve(calls[index]!.asked.map((n) => `answer ${n}`));
  return { calls, ask, answer, asked: () => calls.map(({ asked }) => asked) };
}

describe('batch', () => {
  it('combines requests of one turn into one call, duplicates too, and answers in order', async () => {
    const { ask, answer, asked } = open();
    const answers = Promise.all([1, 2, 1].map(ask));
    await tick();
    expect(asked()).toEqual([[1, 2, 1]]);
    answer(0);
    expect(await answers).toEqual(['answer 1', 'answer 2', 'answer 1']);
  });

  it('holds requests for the next call while two calls are running', async () => {
    const { ask, answer, asked } = open();
    const answers: Promise<string>[] = [];
    for (const n of [1, 2, 3, 4]) {
      answers.push(ask(n));
      await tick();
    }
    expect(asked()).toEqual([[1], [2]]);
    answer(1);
    await answers[1];
    await tick();
    expect(asked()).toEqual([[1], [2], [3, 4]]);
    answer(0);
    answer(2);
    expect(await Promise.all(answers)).toEqual(['answer 1', 'answer 2', 'answer 3', 'answer 4']);
  });

  it('limits the requests of one call', async () => {
    const { calls, ask } = open(2);
    [1, 2, 3].forEach((n) => void ask(n));
    await tick();
    expect(calls.map(({ asked }) => asked.length)).toEqual([2, 1]);
  });

  it('rejects all requests of a failed call, and not later ones', async () => {
    const { calls, ask, answer } = open();
    const failing = [ask(1), ask(2)].map((each) => each.catch(reasonOf));
    await tick();
    calls[0]!.answer.reject(new Error('no'));
    expect(await Promise.all(failing)).toEqual(['no', 'no']);
    const next = ask(3);
    await tick();
    answer(1);
    expect(await next).toBe('answer 3');
  });
});

it('combines writes into one call', async () => {
  const written: (readonly string[])[] = [];
  const write = batchWrites<string>((rows) => Promise.resolve(written.push(rows)));
  await Promise.all([write('a'), write('b')]);
  expect(written).toEqual([['a', 'b']]);
});
