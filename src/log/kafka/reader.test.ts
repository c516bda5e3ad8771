import { describe, expect, it, jest } from '@jest/globals';
import type { Kafka } from 'kafkajs';
import { createCluster, type Cluster } from './cluster.ts';
import type { FetchedMessage } from './fetch-response.ts';
import { createReader } from './reader.ts';
import { handleError, refusal } from './broker-error.ts';

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

/** The decoder's message for an error response. */
function refused(code: number): FetchedMessage {
  const error = handleError(code, from, false).error!;
  return { offset: String(from.offset), error, entry: refusal(error, from.offset, from.offset) };
}

/** A reader over a cluster whose leader returns these answers, one for each fetch. */
function scripted(...script: (FetchedMessage[] | Error)[]) {
  const refreshMetadata = jest.fn(() => Promise.resolve());
  const highWatermark = '10';
  const fetch = () => {
    const messages = script.shift() ?? [];
    if (messages instanceof Error) return Promise.reject(messages);
    return Promise.resolve({
      responses: [{ topicName: 't', partitions: [{ partition: 0, highWatermark, messages }] }],
    });
  };
  const cluster: Cluster = {
    connect: () => Promise.resolve(),
    disconnect: () => Promise.resolve(),
    isConnected: () => true,
    addMultipleTargetTopics: () => Promise.resolve(),
    fetchTopicsOffset: () => Promise.resolve([{ topic: 't', partitions: [{ partition: 0, offset: highWatermark }] }]),
    refreshMetadata,
    refreshMetadataIfNecessary: () => Promise.resolve(),
    findLeaderForPartitions: () => ({ 1: [0] }),
    findBroker: () => Promise.resolve({ fetch }),
    removeBroker: () => undefined,
  };
  const kafka = { [Symbol('private:Kafka:createCluster')]: () => cluster } as unknown as Kafka;
  return { reader: createReader(kafka), refreshMetadata };
}

describe('read', () => {
  it('skips earlier records of the same batch', async () => {
    const { reader } = scripted([fetched(4), fetched(5), fetched(6)]);
    expect(await reader.read(from, 1)).toMatchObject([
      { ...from, offset: 5, leaderEpoch: 7 },
      { ...from, offset: 6 },
    ]);
  });

  it('returns the rest of a blank that begins earlier', async () => {
    const { reader } = scripted([blank(0, 3), blank(4, 9)]);
    expect(await reader.read(from, 1)).toMatchObject([{ ...from, offset: 5, last: 9 }]);
  });

  it('returns a gap that extends to the end', async () => {
    expect(await scripted([]).reader.read(from, 1)).toMatchObject([{ ...from, blank: 'missing', last: 9 }]);
    expect(await scripted([]).reader.read({ ...from, offset: 10 }, 1)).toEqual([]);
  });

  it('returns the range that the broker cannot read from its disk', async () => {
    const { reader } = scripted([refused(2)], [refused(2)], [refused(2)], [fetched(8)]);
    expect(await reader.read(from, 1)).toMatchObject([
      { ...from, blank: 'unreadable', last: 7, reason: expect.stringContaining('offsets 5 to 7: CORRUPT_MESSAGE') },
    ]);
    const toTheEnd = scripted(...Array.from({ length: 9 }, () => [refused(2)]));
    expect(await toTheEnd.reader.read(from, 1)).toMatchObject([{ ...from, last: 9 }]);
  });

  it('does not take a refusal of the broker for lost records', async () => {
    await expect(scripted([refused(29)]).reader.read(from, 1)).rejects.toThrow('Not authorized to access topics');
  });

  it('refreshes the metadata when a leader has moved', async () => {
    const moved = protocolError('NOT_LEADER_FOR_PARTITION', true);
    const { reader, refreshMetadata } = scripted(moved, moved, [fetched(5)]);
    expect(await reader.read(from, 1)).toHaveLength(1);
    expect(refreshMetadata).toHaveBeenCalledTimes(2);
  });

  it('gives up after six tries', async () => {
    const moved = protocolError('NOT_LEADER_FOR_PARTITION', true);
    const { reader } = scripted(...Array.from({ length: 6 }, () => moved), [fetched(5)]);
    await expect(reader.read(from, 1)).rejects.toBe(moved);
  });

  it('does not retry an offset outside of the log', async () => {
    const outOfRange = protocolError('OFFSET_OUT_OF_RANGE', false);
    await expect(scripted(outOfRange, [fetched(5)]).reader.read(from, 1)).rejects.toBe(outOfRange);
  });

  it('fails with a clear error when the internals of kafkajs have changed', () => {
    expect(() => createCluster({} as unknown as Kafka)).toThrow('this kafkajs has no private:Kafka:createCluster');
  });
});
