import { mkdtemp, readFile, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { partitionKey } from '../../src/events/record.ts';
import { type Client, createClient } from '../support/client.ts';
import { type Distributed, startDistributed } from '../support/distributed.ts';
import {
  describeWithNativeKafka,
  describeWithRedis,
  type NativeKafka,
  startNativeKafka,
} from '../support/servers/index.ts';
import { expectStopped, expectChangesAccepted } from '../support/stopped-partition.ts';
import { albumIn, catalog } from '../support/streams.ts';

const CHANGES = 10;
const CUT = 3;
const LONG_MS = 120_000;
/** Each test breaks a partition of its own. */
const [SHORTER, OVERWRITTEN, WHOLE] = [0, 1, 2];
const NOTICED = /the log ends at|are missing|another log/;

describeWithNativeKafka('a broker that comes back', () =>
  describeWithRedis('without the last records of a partition', () => {
    let directory: string;
    let broker: NativeKafka;
    let system: Distributed;
    let client: Client;
    /** One album in each partition. */
    const albums: string[] = [];

    beforeAll(async () => {
      directory = await mkdtemp(path.join(tmpdir(), 'openmusic-cut-log-'));
      broker = await startNativeKafka({ dir: directory });
      const env = { PARTITIONS: '3', VERDICT_WAIT_SECONDS: '2' };
      system = await startDistributed({ brokers: broker.brokers, env });
      client = createClient(system.apis[0]!.url);
      for (const partition of [SHORTER, OVERWRITTEN, WHOLE]) albums.push(await albumIn(system, client, partition));
      for (const album of albums) for (let n = 0; n < CHANGES; n++) expect((await change(album, n)).status).toBe(200);
    }, LONG_MS);
    afterAll(async () => {
      await system.stop();
      await broker.stop();
      await rm(directory, { recursive: true });
    });

    const change = (album: string, year: number) => client.put(`/albums/${album}`, { name: 'changed', year });

    /** Removes the last records of a partition while the broker is down. Each was awaited, so each is a batch of its own. */
    async function comeBackWithout(partition: number): Promise<void> {
      await broker.kill();
      const folder = partitionKey(catalog(system, partition)).replace('/', '-');
      const file = path.join(directory, 'data', folder, '00000000000000000000.log');
      await truncate(file, batchesIn(await readFile(file)).at(-CUT));
      await broker.restart();
    }

    it(
      'stops the projector there; other partitions continue',
      async () => {
        await comeBackWithout(SHORTER);
        await expectStopped(system, catalog(system, SHORTER), albums[SHORTER]!, NOTICED);
        await expectChangesAccepted(system, albums[WHOLE]!);
        expect((await client.get(`/albums/${albums[SHORTER]!}`)).body?.data?.album?.year).toBe(CHANGES - 1);
      },
      LONG_MS,
    );

    it(
      'and with others appended in their place at once, stops the projector as well',
      async () => {
        let writing = true;
        const writers = Array.from({ length: 8 }, async (_, n) => {
          while (writing) await client.post('/albums', { name: 'in its place', year: n }).catch(() => undefined);
        });
        await comeBackWithout(OVERWRITTEN);
        await expectStopped(system, catalog(system, OVERWRITTEN), albums[OVERWRITTEN]!, NOTICED);
        writing = false;
        await Promise.all(writers);
        await expectChangesAccepted(system, albums[WHOLE]!);
      },
      LONG_MS,
    );
  }),
);

/** The position of each batch: eight bytes of offset, then four bytes with the length of the rest. */
function batchesIn(log: Buffer): number[] {
  const beginnings: number[] = [];
  for (let at = 0; at < log.length; at += 12 + log.readInt32BE(at + 8)) beginnings.push(at);
  return beginnings;
}
