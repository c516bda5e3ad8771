import { mkdtemp, readFile, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { partitionKey } from '../../src/events/record.ts';
import { type Client, createClient } from '../support/client.ts';
import { type Distributed, startDistributed } from '../support/distributed.ts';
import {
  describeWithNativeKafka,
  describeWithRedis,
  type NativeKafka,
  startNativeKafka,
} from '../support/servers/index.ts';
import { stopsLoudly, takesChanges } from '../support/stopped.ts';
import { albumIn, catalog } from '../support/streams.ts';

const CHANGES = 10;
const CUT = 3;

describeWithNativeKafka('a broker that comes back', () =>
  describeWithRedis('without the last records of a partition', () => {
    let directory: string;
    let broker: NativeKafka;
    let system: Distributed;
    let client: Client;
    let albums: readonly string[];

    beforeEach(async () => {
      directory = await mkdtemp(path.join(tmpdir(), 'openmusic-cut-log-'));
      broker = await startNativeKafka({ dir: directory });
      system = await startDistributed({ brokers: broker.brokers, env: { VERDICT_WAIT_SECONDS: '2' } });
      client = createClient(system.apis[0]!.url);
      albums = [await albumIn(system, client, 0), await albumIn(system, client, 1)];
      for (const album of albums) for (let n = 0; n < CHANGES; n++) expect((await change(album, n)).status).toBe(200);
    });
    afterEach(async () => {
      await system.stop();
      await broker.stop();
      await rm(directory, { recursive: true });
    });

    const change = (album: string, year: number) => client.put(`/albums/${album}`, { name: 'changed', year });

    /** Every record stands in a batch of its own, because it was awaited. */
    async function cut(partition: number): Promise<void> {
      const { topic } = catalog(system, partition);
      const folder = partitionKey({ topic, partition }).replace('/', '-');
      const file = path.join(directory, 'data', folder, '00000000000000000000.log');
      const beginnings = batchesIn(await readFile(file));
      await truncate(file, beginnings.at(-CUT)!);
    }

    it('stops the projector there, whose other partition goes on', async () => {
      const [cutOff, whole] = albums;
      await broker.kill();
      await cut(0);
      await broker.restart();
      await stopsLoudly(system, catalog(system, 0), cutOff!, /the log ends at|records are missing|another log/);
      await takesChanges(system, whole!);
      expect((await client.get(`/albums/${cutOff!}`)).body?.data?.album?.year).toBe(CHANGES - 1);
    });

    it('and takes others in their place at once: it stops as well', async () => {
      const [cutOff, whole] = albums;
      let writing = true;
      const stubborn = Array.from({ length: 8 }, async (_, n) => {
        while (writing) await client.post('/albums', { name: 'in its place', year: n }).catch(() => undefined);
      });
      await broker.kill();
      await cut(0);
      await broker.restart();
      await stopsLoudly(system, catalog(system, 0), cutOff!, /the log ends at|records are missing|another log/);
      writing = false;
      await Promise.all(stubborn);
      await takesChanges(system, whole!);
    });
  }),
);

/** Where each batch begins: eight bytes of offset, four that say how many follow. */
function batchesIn(log: Buffer): number[] {
  const beginnings: number[] = [];
  for (let at = 0; at < log.length; at += 12 + log.readInt32BE(at + 8)) beginnings.push(at);
  return beginnings;
}
