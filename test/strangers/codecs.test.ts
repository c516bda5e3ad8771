import { afterAll, beforeAll, expect, it } from '@jest/globals';
import kafkajs from 'kafkajs';
import { type KafkaClient, createClient } from '../../src/log/kafka/client.ts';
import { claim, type Core, kafkaSource, openCore } from '../support/core.ts';
import { askEveryJudge } from '../support/judges.ts';
import {
  createDatabase,
  describeWithKafka,
  describeWithPrograms,
  type TestDatabase,
} from '../support/servers/index.ts';
import { CODECS, produceWithJava, produceWithKcat } from '../support/stock-producers.ts';

describeWithKafka('compressed records of stock producers', ({ brokers }) => {
  let database: TestDatabase;
  let core: Core;
  let client: KafkaClient;

  beforeAll(async () => {
    database = await createDatabase();
    core = await openCore({ connection: database.connection, source: kafkaSource(brokers) });
    client = createClient({ brokers, clientId: 'stranger', logger: () => undefined });
  });
  afterAll(async () => {
    client.destroy();
    await core.close();
    await database.drop();
  });

  const jobs = () => ({ topic: `${core.namespace}.jobs`, partition: 0 });

  describeWithPrograms(['kcat'], 'of librdkafka', () => {
    it.each(CODECS)('%s: a valid record is accepted', async (codec) => {
      const record = claim({ stream: core.streamIn(0) });
      await produceWithKcat(brokers, core.catalog(0), codec, record);
      await core.settled();
      expect(await core.rows('stream_events')).toContainEqual(expect.objectContaining({ record_id: record.id }));
    });
  });

  // A JDK: Java runs a source file only with its compiler.
  describeWithPrograms(['javac'], 'of the Java client', () => {
    it('all four: every record is judged, and loses as a foreign one', async () => {
      await produceWithJava(brokers, 300, core.catalog(1), jobs());
      await core.settled();
      for (const codec of CODECS) {
        const lost = core.projectorReports.lost.filter(
          ({ record }) => 'key' in record && record.key.startsWith(`${codec}-`),
        );
        const kinds = new Set(lost.map(({ reason, alarm }) => `${reason}, ${alarm ? 'an alarm' : 'no alarm'}`));
        expect([codec, lost.length, [...kinds]]).toEqual([codec, 600, ['header ce_checksum is missing, an alarm']]);
      }
    }, 120_000); // a JVM compiles its source first
  });

  it('our own appends stay readable on a topic that was switched to a codec', async () => {
    const api = await core.openApi();
    const admin = client.kafka.admin();
    await admin.connect();
    for (const codec of CODECS) {
      const configEntries = [{ name: 'compression.type', value: codec }];
      const type = kafkajs.ConfigResourceTypes.TOPIC;
      await admin.alterConfigs({
        validateOnly: false,
        resources: [{ type, name: core.catalog(0).topic, configEntries }],
      });
      const { id } = await api.createAlbum();
      expect(await api.changeAlbum(id, codec)).toMatchObject({ version: 2 });
    }
    await admin.disconnect();
  });

  it('every judge reaches the same result', async () => {
    const { partitions } = await askEveryJudge(core);
    const lost = partitions.map(({ losers }) => losers['header ce_checksum is missing'] ?? 0);
    expect(lost.reduce((sum, count) => sum + count, 0)).toBe(4 * 600);
  });
});
