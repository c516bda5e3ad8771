import { expect, it } from '@jest/globals';
import { createPlaces } from './places.ts';

const options = { each: 2, all: 3, waiting: 1, waitMs: 50 };

it('gives each key its places, and all together no more than there are', async () => {
  const places = createPlaces(options);
  const taken = await Promise.all([places.take('a'), places.take('a'), places.take('b')]);
  expect(taken).toEqual(taken.map(() => expect.any(Function)));
  expect(await Promise.all([places.take('a'), places.take('b'), places.take('c')])).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
});

it('gives a place that is left to the first who can have it, once however often it is left', async () => {
  const places = createPlaces({ ...options, waitMs: 60_000 });
  const [first] = await Promise.all([places.take('a'), places.take('a'), places.take('b')]);
  const gone = new AbortController();
  const [a, b] = [places.take('a', gone.signal), places.take('b', gone.signal)];
  first?.();
  first?.();
  expect(await a).toEqual(expect.any(Function));
  gone.abort();
  expect(await b).toBeUndefined();
});

it('lets no more wait than may, and none for longer than it should', async () => {
  const places = createPlaces({ ...options, all: 2 });
  await Promise.all([places.take('a'), places.take('a')]);
  const waiting = places.take('a');
  expect(await places.take('a')).toBeUndefined();
  expect(await waiting).toBeUndefined();
});

it('gives none to a client that is gone', async () => {
  const places = createPlaces({ ...options, waitMs: 60_000 });
  expect(await places.take('a', AbortSignal.abort())).toBeUndefined();
  const leave = await places.take('a');
  leave?.();
  expect(await places.take('a')).toBeDefined();
});
