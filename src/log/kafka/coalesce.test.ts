import { beforeEach, expect, it } from '@jest/globals';
import type { DeliveryContext, Next, Slice } from '../event-log.ts';
import { coalesceDeliveries } from './coalesce.ts';

let delivered: string[];
let beats: string[];
let fails: boolean;
let heartbeat: () => Promise<void>;

beforeEach(() => {
  [delivered, beats, fails] = [[], [], false];
});

const { signal } = new AbortController();
const deliver = coalesceDeliveries(
  {
    deliver(slices, context): Promise<Next[]> {
      delivered.push(slices.map(({ partition }) => partition).join());
      ({ heartbeat } = context);
      if (fails) return Promise.reject(new Error('no way'));
      return Promise.resolve(slices.map(({ topic, partition }) => ({ topic, partition, next: partition + 1 })));
    },
  },
  signal,
);
const recordOf = (partition: number) => ({
  topic: 't',
  partition,
  offset: 0,
  key: 'k',
  value: Buffer.alloc(0),
  headers: {},
  leaderEpoch: 0,
});
const slice = (partition: number, records = 1): Slice => ({
  topic: 't',
  partition,
  records: [recordOf(partition), ...Array.from({ length: records - 1 }, () => recordOf(partition))],
});
const context = (name: string): DeliveryContext => ({
  signal,
  heartbeat: () => Promise.resolve(void beats.push(name)),
});

it('combines the deliveries of one turn, and delivers later ones separately', async () => {
  const both = Promise.all([deliver([slice(1)], context('a')), deliver([slice(2), slice(3)], context('b'))]);
  expect(delivered).toEqual([]);
  const nexts = [1, 2, 3].map((partition) => ({ topic: 't', partition, next: partition + 1 }));
  expect(await both).toEqual([nexts, nexts]);
  await deliver([slice(4)], context('c'));
  expect(delivered).toEqual(['1,2,3', '4']);
});

it('splits many records into several deliveries, each with at least one partition', async () => {
  const sizes = [1_500, 500, 1, 3_000, 1_000];
  await Promise.all(sizes.map((size, partition) => deliver([slice(partition, size)], context('a'))));
  expect(delivered).toEqual(['0,1', '2', '3', '4']);
});

it('rejects all combined deliveries', async () => {
  fails = true;
  const both = [deliver([slice(1)], context('a')), deliver([slice(2)], context('b'))];
  await Promise.all(both.map((each) => expect(each).rejects.toThrow('no way')));
});

it('sends a heartbeat for each combined delivery', async () => {
  await Promise.all([deliver([slice(1)], context('a')), deliver([slice(2)], context('b'))]);
  await heartbeat();
  expect(beats).toEqual(['a', 'b']);
});
