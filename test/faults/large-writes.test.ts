import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type Answer, createClient } from '../support/client.ts';
import { type Distributed, startDistributed } from '../support/distributed.ts';
import { eventually, metricOf } from '../support/observed.ts';
import {
  describeWithNativeKafka,
  describeWithRedis,
  type NativeKafka,
  startNativeKafka,
} from '../support/servers/index.ts';

const WRITERS = 300;
/** Kilobytes with few characters: four bytes each in UTF-8. */
const song = (n: number) => ({ title: '𝄞'.repeat(1_000), genre: 'g'.repeat(500), performer: `${n} `.padEnd(500, 'p') });

describeWithNativeKafka('300 writers of 5 kB at once', () =>
  describeWithRedis('all of one partition', () => {
    let broker: NativeKafka;
    let system: Distributed;
    beforeAll(async () => {
      broker = await startNativeKafka();
      const env = { PARTITIONS: '1', VERDICT_WAIT_SECONDS: '30' };
      system = await startDistributed({ apis: 0, brokers: broker.brokers, env });
    });
    afterAll(async () => {
      await system.stop();
      await broker.stop();
    });

    /** The broker is frozen until all writers wait for it, so that they send together. */
    async function writeThrough(settings: Record<string, string>): Promise<Answer[]> {
      const api = await system.startApi(settings);
      const { post } = createClient(api.url);
      const sockets = () => metricOf(api, 'nodejs_active_resources', 'type="TCPSocketWrap"');
      await broker.freeze();
      const writing = Array.from({ length: WRITERS }, (_, n) => post('/songs', { ...song(n), year: n }));
      await eventually('all of them are connected', async () => (await sockets()) >= WRITERS);
      await broker.thaw();
      const answers = await Promise.all(writing);
      await api.end('SIGKILL');
      return answers;
    }

    it('do not fail because of each other’s size', async () => {
      const answers = await writeThrough({});
      expect(answers.filter(({ status }) => status !== 201).map(({ text }) => text)).toEqual([]);
      expect(new Set(answers.map(({ body }) => body!.data!.songId)).size).toBe(WRITERS);
    });

    it('would fail in one request: the broker refuses it whole', async () => {
      const answers = await writeThrough({ APPEND_BYTES: '8000000' });
      const refused = answers.filter(({ body }) => body?.code === 'LOG_UNAVAILABLE');
      expect(refused.length).toBeGreaterThan(WRITERS / 2);
    });
  }),
);
