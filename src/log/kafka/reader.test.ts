import { describe, expect, it, jest } from '@jest/globals';
import type { Kafka } from 'kafkajs';
import { createCluster, type Cluster } from './cluster.ts';
import type { FetchedMessage } from './fetch-response.ts';
import { createReader } from './reader.ts';

const from = { topic: 't', partition: 0, offset: 5 };
const protocolError = (type: string, retriable: boolean) => Object.assign(new Error(type), { type, retriable });
const fetched = (offset: number): FetchedMessage => ({
  offset: String(offset),
  entry: { offset, leaderEpoch: 7, key: null, value: null, headers: Buffer.of(0) },
});
const blank = (offset: number, last: number): FetchedMessage => ({
  offset: String(last),
  entry: { blank: 'unreadable', offset, last, leaderEpoch: 7, reason: 'for a test' },
});

/** A reader over a cluster whose leader answers so, one answer a fetch. */
function scripted(...script: (FetchedMessage[] | Error)[]) {
  const refreshMetadata = jest.fn(() => Promise.resolve());
  const highWatermark = '10';
  const fetch = () => {
    const messages = script.shift() ?? [];
    if (messages instanceof Error) return Promise.reject(messages);
    return Promise.resolve({ responses: [{ topicName: 't', partitions: [{ partition: 0, highWatermark, messages }] }] });
  };
  const cluster: Cluster = {
    ...{ connect: () => Promise.resolve(), disconnect: () => Promise.resolve(), isConnected: () => true },
    ...{
      addMultipleTargetTopics: () => Promise.resolve(),
      fetchTopicsOffset: () => Promise.resolve([]),
      refreshMetadata,
      refreshMetadataIfNecessary: () => Promise.resolve(),
    },
    ...{ findLeaderForPartitions: () => ({ 1: [0] }), findBroker: () => Promise.resolve({ fetch }) },
    removeBroker: () => undefined,
  };
  const kafka = { [Symbol('private:Kafka:createCluster')]: () => cluster } as unknown as Kafka;
  return { reader: createReader(kafka), refreshMetadata };
}

describe('read', () => {
  it('takes nothing of what lies before in the same batch', async () => {
    const { reader } = scripted([fetched(4), fetched(5), fetched(6)]);
    expect(await reader.read(from, 1)).toMatchObject([
      { ...from, offset: 5, leaderEpoch: 7 },
      { ...from, offset: 6 },
    ]);
  });

  it('takes the rest of a blank that begins before', async () => {
    const { reader } = scripted([blank(0, 3), blank(4, 9)]);
    expect(await reader.read(from, 1)).toMatchObject([{ ...from, offset: 5, last: 9 }]);
  });

  it('asks who leads when a leader has moved', async () => {
    const moved = protocolError('NOT_LEADER_FOR_PARTITION', true);
    const { reader, refreshMetadata } = scripted(moved, moved, [fetched(5)]);
    expect(await reader.read(from, 1)).toHaveLength(1);
    expect(refreshMetadata).toHaveBeenCalledTimes(2);
  });

  it('gives up after a while', async () => {
    const moved = protocolError('NOT_LEADER_FOR_PARTITION', true);
    const { reader } = scripted(...Array.from({ length: 6 }, () => moved), [fetched(5)]);
    await expect(reader.read(from, 1)).rejects.toBe(moved);
  });

  it('does not try again where the log does not reach', async () => {
    const outOfRange = protocolError('OFFSET_OUT_OF_RANGE', false);
    await expect(scripted(outOfRange, [fetched(5)]).reader.read(from, 1)).rejects.toBe(outOfRange);
  });

  it('says so when kafkajs has changed inside', () => {
    expect(() => createCluster({} as unknown as Kafka)).toThrow('this kafkajs has no private:Kafka:createCluster');
  });
});
