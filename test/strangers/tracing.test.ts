import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type EventLog } from '../../src/log/event-log.ts';
import { openKafkaLog } from '../../src/log/kafka.ts';
import { readEnvelope } from '../../src/events/envelope.ts';
import { createClient } from '../support/client.ts';
import { describeDistributed, type Distributed, startDistributed } from '../support/distributed.ts';
import { recordsOf } from '../support/records.ts';
import { expectChangesAccepted } from '../support/stopped-partition.ts';
import { albumIn, catalog } from '../support/streams.ts';

const LONG_MS = 180_000;
const TRACED = fileURLToPath(new URL('../support/traced-main.ts', import.meta.url));

describeDistributed('processes under OpenTelemetry', () => {
  let system: Distributed;
  let log: EventLog;
  let album: string;

  beforeAll(async () => {
    system = await startDistributed({ apis: 0, projectors: 0 });
    await Promise.all([system.startProjector({}, TRACED), system.startApi({}, TRACED)]);
    const brokers = system.env.KAFKA_BROKERS!.split(',');
    log = await openKafkaLog({ brokers, clientId: 'test', logger: () => undefined });
    album = await albumIn(system, createClient(system.apis[0]!.url), 0);
  }, LONG_MS);
  afterAll(async () => {
    await log.close();
    await system.stop();
  });

  it('append records that carry traceparent, each of which is accepted', async () => {
    for (let n = 0; n < 5; n++) await expectChangesAccepted(system, album);
    const records = recordsOf(await log.read({ ...catalog(system, 0), offset: 1 }));
    expect(records.filter(({ key }) => key === album).length).toBeGreaterThan(5);
    for (const record of records) {
      expect(record.headers.traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
      expect(readEnvelope(record)).toMatchObject({ kind: 'ours' });
    }
  });

  it('read records with and without traceparent, and every judge accepts them', async () => {
    await system.projectors[0]!.end('SIGTERM');
    await system.apis[0]!.end('SIGTERM');
    await Promise.all([system.startProjector(), system.startApi()]);
    const verdict = await createClient(system.apis.at(-1)!.url).put(`/albums/${album}`, { name: 'x', year: 2000 });
    expect(verdict.status).toBe(200);
    expect((await system.cli('projections', 'rebuild')).output).toContain('equals the live generation');
    expect(await system.cli('log', 'verify')).toMatchObject({ code: 0, output: expect.stringContaining('is sound') });
  }, 120_000);
});
