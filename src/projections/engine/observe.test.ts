import { expect, it } from '@jest/globals';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { observeProjector } from './observe.ts';

const lines: string[] = [];
const registry = new Registry();
const logger = pino({ level: 'error' }, { write: (line: string) => void lines.push(line) });
const observer = observeProjector(logger, registry, () => undefined);

it('counts every foreign record, and logs each reason at most once in ten seconds', async () => {
  const record = { topic: 't', partition: 0, leaderEpoch: 0, key: 'k', value: Buffer.alloc(0), headers: {} };
  for (let offset = 0; offset < 100; offset++) {
    observer.lost({ ...record, offset }, 'header ce_checksum is missing', true);
    observer.lost({ ...record, offset }, 'lost the race', false);
  }
  observer.lost({ ...record, offset: 100 }, 'header ce_id is missing', true);
  expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
    { position: 't/0@0', reason: 'header ce_checksum is missing' },
    { position: 't/0@100', reason: 'header ce_id is missing' },
  ]);
  expect(await registry.metrics()).toContain(
    'openmusic_records_lost_total{reason="header ce_checksum is missing"} 100',
  );
});
