import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type Distributed, seedOfRun, startDistributed } from '../support/distributed.ts';
import { checkServed, type Load, readLog, recordHistory, withEvidence } from '../support/history/index.ts';
import { createRandom } from '../support/history/random.ts';
import { type Fate, type KafkaProxy, startKafkaProxy } from '../support/kafka-proxy.ts';
import { eventually } from '../support/observed.ts';
import {
  describeWithNativeKafka,
  describeWithRedis,
  type NativeKafka,
  startNativeKafka,
} from '../support/servers/index.ts';
import { freePort } from '../support/ports.ts';

const WRITERS = 16;
const MORE = { writes: 40, reads: 40 };

describeWithNativeKafka('lost answers to produce requests', () =>
  describeWithRedis('between processes and a broker', () => {
    let proxy: KafkaProxy;
    let broker: NativeKafka;
    let system: Distributed;

    beforeAll(async () => {
      const port = await freePort();
      proxy = await startKafkaProxy({ host: '127.0.0.1', port });
      broker = await startNativeKafka({ port, properties: { 'advertised.listeners': `PLAINTEXT://${proxy.address}` } });
      system = await startDistributed({ apis: 2, brokers: [proxy.address] });
    });
    afterAll(async () => {
      await system.stop();
      await broker.stop();
      await proxy.close();
    });

    /** Drops this many answers, and then none. */
    async function lose(count: number, fate: () => Fate): Promise<void> {
      const enough = proxy.lost() + count;
      proxy.decide(() => (proxy.lost() < enough ? fate() : 'arrives'));
      await eventually(`${count} answers are lost`, () => proxy.lost() >= enough);
    }

    /** Records that are in the log more than once. */
    const repeated = () =>
      withEvidence(system.env, async ({ log, placement }) => {
        const records = await readLog(log, placement);
        return records.length - new Set(records.map(({ headers }) => headers.ce_id)).size;
      });

    it(`lose no write and duplicate none, with ${WRITERS} writers who retry`, async () => {
      const seed = seedOfRun();
      process.stdout.write(`SEED=${seed}\n`);
      const random = createRandom(seed);
      const urls = system.apis.map(({ url }) => url);
      const history = await recordHistory({ urls, seed, clients: WRITERS }, async (load: Load) => {
        await load.served(MORE);
        await lose(30, () => (random.chance(0.3) ? 'cut' : 'arrives'));
        await load.served(MORE);
        await lose(2, () => 'never'); // the number of requests in progress of one process
        await load.served(MORE);
      });
      expect(await checkServed(history, { env: system.env, urls })).toEqual([]);
      expect(await repeated()).toBeGreaterThan(0);
    }, 120_000);
  }),
);
