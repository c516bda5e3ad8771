import { beforeEach, describe, expect, it } from '@jest/globals';
import type { EachBatchPayload } from 'kafkajs';
import type { Slice } from '../event-log.ts';
import { AssignedPartition } from './assignment.ts';
import { deliverBatch, type DeliveryHost } from './delivery.ts';

describe('a delivery', () => {
  let partition: AssignedPartition;
  let events: string[];
  let current: boolean;
  let handle: (slice: Slice) => Promise<number | 'stopped'>;

  beforeEach(() => {
    partition = new AssignedPartition({ topic: 't', partition: 0 });
    [events, current] = [[], true];
    handle = (slice) => Promise.resolve(endOf(slice));
  });

  const endOf = ({ records }: Slice) => (records.at(-1)?.offset ?? NaN) + 1;

  const host = (): DeliveryHost => ({
    handler: {
      deliver: async ([slice]) => {
        if (!slice) return [];
        events.push(`deliver ${slice.records[0].offset}-${endOf(slice) - 1}`);
        return [{ topic: 't', partition: 0, next: await handle(slice) }];
      },
    },
    signal: new AbortController().signal,
    isCurrent: () => current,
    seek: (_, offset) => events.push(`seek ${offset}`),
    pause: () => events.push('pause'),
    reached: (_, offset) => events.push(`reached ${offset}`),
  });

  const deliver = (begin: number, end: number, more: Partial<EachBatchPayload> = {}) =>
    deliverBatch(host(), partition, {
      batch: { topic: 't', partition: 0, messages: messages(begin, end) },
      isStale: () => false,
      heartbeat: () => Promise.resolve(),
      resolveOffset: (offset: string) => events.push(`resolve ${offset}`),
      ...more,
    } as EachBatchPayload);

  const messages = (begin: number, end: number) =>
    Array.from({ length: end - begin }, (_, n) => ({ offset: String(begin + n), entry: recordAt(begin + n) }));

  const recordAt = (offset: number) => ({
    offset,
    leaderEpoch: 0,
    key: null,
    value: null,
    headers: Buffer.of(0),
  });

  it('continues after the wanted records', async () => {
    partition.want(7);
    await deliver(7, 10);
    expect(events).toEqual(['deliver 7-9', 'resolve 9', 'reached 10']);
    expect(partition.wanted).toBe(10);
  });

  it('delivers a batch at once that begins before the wanted record, because the log may have been created again', async () => {
    partition.want(7);
    handle = () => Promise.resolve(6);
    await deliver(0, 10);
    expect(events).toEqual(['deliver 0-9', 'seek 6', 'reached 6']);
    expect(partition.wanted).toBe(6);
  });

  it('has at most a thousand records at a time', async () => {
    partition.want(0);
    await deliver(0, 2500);
    expect(events.filter((event) => event.startsWith('deliver'))).toEqual([
      'deliver 0-999',
      'deliver 1000-1999',
      'deliver 2000-2499',
    ]);
  });

  it('seeks twice before it delivers a later batch, and then keeps delivering it', async () => {
    partition.want(7);
    for (let n = 0; n < 4; n++) {
      handle = () => (n < 3 ? Promise.reject(new Error('no database')) : Promise.resolve('stopped'));
      await deliver(9, 12).catch(() => events.push('failed'));
    }
    expect(events).toEqual(['seek 7', 'seek 7', 'deliver 9-11', 'failed', 'deliver 9-11', 'pause']);
  });

  it('does not take a batch from before a seek for a jump', async () => {
    partition.want(7);
    for (let n = 0; n < 5; n++) await deliver(0, 3, { isStale: () => true });
    expect(events).toEqual([]);
  });

  it('delivers nothing that was not asked for', async () => {
    await deliver(0, 3);
    expect(events).toEqual([]);
  });

  it('changes nothing when a join has taken the partition away meanwhile', async () => {
    partition.want(0);
    handle = () => Promise.resolve(1000).finally(() => (current = false));
    await deliver(0, 2000);
    expect(events).toEqual(['deliver 0-999']);
    expect(partition.wanted).toBe(0);
  });

  it('ends after a slice when the group wants this member to join again', async () => {
    partition.want(0);
    await deliver(0, 2000, { heartbeat: () => Promise.reject(new Error('rebalancing')) });
    expect(events).toEqual(['deliver 0-999', 'resolve 999', 'reached 1000']);
  });

  it('fails when the handler does not return the next offset', async () => {
    partition.want(0);
    const silent: DeliveryHost = { ...host(), handler: { deliver: () => Promise.resolve([]) } };
    const payload = { batch: { messages: messages(0, 1) }, isStale: () => false, heartbeat: () => Promise.resolve() };
    await expect(deliverBatch(silent, partition, payload as unknown as EachBatchPayload)).rejects.toThrow('t/0');
  });
});
