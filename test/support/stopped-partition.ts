import { expect } from '@jest/globals';
import { partitionKey, type TopicPartition } from '../../src/events/record.ts';
import { createClient } from './client.ts';
import type { Distributed } from './distributed.ts';
import { eventually, FATAL, linesOf, metricOf } from './observed.ts';

const change = { name: 'changed', year: 2001 };

/** Checks that the projector has stopped there and that every process reports it; the album is in that partition. */
export async function expectStopped(system: Distributed, where: TopicPartition, album: string, reason: RegExp) {
  const [api, projector] = [system.apis[0]!, system.projectors[0]!];
  const { get, put } = createClient(api.url);
  const name = partitionKey(where);
  const lines = () =>
    linesOf(projector, 'a partition is no longer consumed').filter(({ position }) =>
      String(position).startsWith(`${name}@`),
    );
  await eventually(`${name} is stopped`, () => lines().length > 0);
  expect(lines()[0]).toMatchObject({ level: FATAL, reason: expect.stringMatching(reason) }); // it is logged again at every join
  expect(await metricOf(projector, 'openmusic_partition_stopped', `"${name}"`)).toBe(1);
  expect(await createClient(projector.url).get('/livez')).toMatchObject({
    status: 503,
    body: { code: 'NOT_ALIVE', message: expect.stringContaining(' is stopped: ') },
  });
  expect(await put(`/albums/${album}`, change)).toMatchObject({ status: 503, body: { code: 'PROJECTION_STOPPED' } });
  expect((await get(`/albums/${album}`)).status).toBe(200);
}

/** Waits until changes are accepted and visible again, once the obstacle is gone. */
export async function expectChangesAccepted(system: Distributed, album: string): Promise<void> {
  const { get, put } = createClient(system.apis[0]!.url);
  await eventually(`${album} takes changes`, async () => (await put(`/albums/${album}`, change)).status === 200);
  expect((await get(`/albums/${album}`)).body?.data?.album).toMatchObject(change);
}
