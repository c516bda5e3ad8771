import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { compressFrame } from 'lz4-napi';
import kafkajs, { type Producer } from 'kafkajs';
import { encodeEvent } from '../../src/events/codec.ts';
import { newId } from '../../src/events/ids.ts';
import { partitionKey, type LogRecord, type TopicPartition } from '../../src/events/record.ts';
import { lastOffsetOf } from '../../src/log/entry.ts';
import { createClient, type KafkaClient } from '../../src/log/kafka/client.ts';
import { publishVoids, readPublishedVoids } from '../../src/log/void-topic.ts';
import { voidTestOf } from '../../src/log/voids.ts';
import { verifyLog } from '../../src/projections/generations/verify.ts';
import { eventOf } from '../../src/event-store/judge.ts';
import { without } from '../conformance/kit.ts';
import { chain, claim, type Core, kafkaSource, openCore, withCorruptHeader, withoutHeader } from '../support/core.ts';
import { stoppedAt } from '../support/judges.ts';
import { describeWithPython, runPython } from '../support/python.ts';
import { createDatabase, describeWithKafka, type TestDatabase } from '../support/servers/index.ts';
import { until } from '../support/servers/waiting.ts';
import { produceWithKcat } from '../support/stock-producers.ts';
import { packRecord, plainRecords, produceBatch, type StrangerRecord } from '../support/stranger-batch.ts';

const LONG_MS = 180_000;

it('judges every case of the conformance kit as expected, with the standard library alone', async () => {
  const { stdout } = await promisify(execFile)('python3', ['-I', 'schemas/conformance/check.py']);
  expect(stdout).toMatch(/^\d{2,} cases, 0 differ\n$/);
});

const asTold = ({ message: { partition = 0 } }: { message: { partition?: number } }) => partition;

/** The reader's output for one position, or for a range. */
interface Line {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly lastOffset?: number;
  readonly verdict: 'accepted' | 'loser' | 'stop';
  readonly reason?: string;
  readonly id?: string;
  readonly payload?: unknown;
  readonly undecodable?: string;
}

type Expected = Partial<Line> & { readonly isDecodable?: boolean };

const REASONS: Readonly<Record<string, string>> = {
  'declared void': 'void',
  'lost the race': 'lost',
  "a transaction's marker": 'control',
};

describeWithPython('the Python reader', (python) => {
  describeWithKafka('on a log with one of each oddity', ({ brokers }) => {
    let database: TestDatabase;
    let core: Core;
    let client: KafkaClient;
    let transactions: Producer;

    beforeAll(async () => {
      database = await createDatabase();
      core = await openCore({ connection: database.connection, source: kafkaSource(brokers), partitions: 3 });
      client = createClient({ brokers, clientId: 'stranger', logger: () => undefined });
      transactions = client.kafka.producer({
        transactionalId: core.namespace,
        idempotent: true,
        maxInFlightRequests: 1,
        createPartitioner: () => asTold,
      });
      await transactions.connect();
    }, LONG_MS);
    afterAll(async () => {
      await transactions.disconnect();
      client.destroy();
      await core.close();
      await database.drop();
    });

    const stream = (partition: number) => core.streamIn(partition);
    const strange = (where: TopicPartition, record: StrangerRecord) =>
      produceBatch(client, where, { count: 1, packed: packRecord(record) });
    const strangers = ({ key, value, headers }: LogRecord): StrangerRecord => ({
      key,
      value,
      headers: Object.entries(headers),
    });

    async function inTransaction(end: 'commit' | 'abort', partition: number): Promise<void> {
      const transaction = await transactions.transaction();
      const messages = [{ ...claim({ stream: stream(partition) }), partition }];
      await transaction.send({ topic: core.catalog(partition).topic, messages });
      await transaction[end]();
    }

    /** The reader's verdict for every offset. */
    async function readerSays(): Promise<{ code: number; said: Map<string, Line> }> {
      const args = [brokers.join(), '--namespace', core.namespace, '--all'];
      const { code, lines, errors } = await runPython(python, 'schemas/reader.py', ...args);
      expect(errors).toBe('');
      const said = new Map<string, Line>();
      for (const line of lines as Line[]) {
        for (let at = line.offset; at <= (line.lastOffset ?? line.offset); at++)
          said.set(`${partitionKey(line)}@${at}`, line);
      }
      return { code, said };
    }

    /** The live projector's verdict for every offset. */
    async function projectorSays(): Promise<Map<string, Expected>> {
      const said = new Map<string, Expected>();
      for (const { record, reason } of core.projectorReports.lost) {
        for (let at = record.offset; at <= lastOffsetOf(record); at++)
          said.set(`${partitionKey(record)}@${at}`, { verdict: 'loser', reason: REASONS[reason] ?? 'foreign' });
      }
      for (const row of await core.rows<Row>('stream_events')) {
        said.set(`${partitionKey(row)}@${row.offset}`, { verdict: 'accepted', id: row.record_id, ...payloadOf(row) });
      }
      return said;
    }

    async function agree(): Promise<number> {
      const { said } = await readerSays();
      const projected = await projectorSays();
      for (const [position, { isDecodable = true, ...expected }] of projected) {
        expect([position, said.get(position)]).toEqual([position, expect.objectContaining(expected)]);
        expect([position, said.get(position)?.undecodable === undefined]).toEqual([position, isDecodable]);
      }
      expect([...said.keys()].sort()).toEqual([...projected.keys()].sort());
      return said.size;
    }

    it('agrees with the projector on a log that only OpenMusic has written', async () => {
      const api = await core.openApi();
      for (let n = 0; n < 5; n++) await api.changeAlbum((await api.createAlbum()).id, `name ${n}`);
      await core.settled();
      expect(await agree()).toBe(12 + 10);
    });

    it(
      'agrees with the projector record by record, up to where both stop, and after it once that is void',
      async () => {
        const [first, second, third] = [core.catalog(0), core.catalog(1), core.catalog(2)];
        const album = (partition: number, value?: Buffer | null) => {
          const record = claim({ stream: stream(partition), value: value ?? undefined });
          return value === null ? { ...strangers(record), value: null } : strangers(record);
        };
        const unknown = encodeEvent({ type: 'AlbumCreated', albumId: 'a', name: 'b', year: 1 });
        unknown.writeUInt32BE(4_711, 1);
        const deleted = encodeEvent({ type: 'AlbumDeleted', albumId: 'a', name: 'b', year: 1 });
        await strange(first, album(0, unknown));
        await strange(first, album(0, deleted));
        await strange(first, album(0, null));
        await strange(first, { key: null, value: null, headers: [] });
        const [one, two, three] = chain(stream(0), ['1', '2', '3']);
        await core.append(
          first,
          one!,
          two!,
          { ...two!, id: newId() } as LogRecord,
          claim({ stream: one!.key }),
          three!,
        );
        const traced = strangers(claim({ stream: stream(0) }));
        await strange(first, { ...traced, headers: [['traceparent', '00-1-2-01'], ...traced.headers, ['x', null]] });
        await inTransaction('commit', 0);
        await inTransaction('abort', 0);
        await inTransaction('commit', 1); // its marker is before the positions that will be void
        await core.append(
          first,
          claim({ stream: stream(1) }),
          withoutHeader(claim({ stream: stream(0) }), 'ce_checksum'),
        );
        for (const codec of ['gzip', 'snappy', 'lz4', 'zstd'] as const)
          await produceWithKcat(brokers, first, codec, claim({ stream: stream(0) }));

        const malformed = claim({ stream: stream(1) });
        await core.append(second, { ...malformed, headers: { ...malformed.headers, ce_checksum: 'x' } });
        await core.append(second, claim({ stream: stream(1) }));
        const packed = await compressFrame(plainRecords([1, 2, 3].map(() => claim({ stream: stream(2) }))), {
          contentChecksum: true,
        });
        packed.writeUInt8(packed.readUInt8(packed.length - 1) ^ 1, packed.length - 1);
        await produceBatch(client, third, { codec: 3, count: 3, packed });
        await core.append(third, claim({ stream: stream(2) }), withCorruptHeader(claim({ stream: stream(2) })));
        await core.append(third, claim({ stream: stream(2) }));

        await stoppedAt(core, second);
        await stoppedAt(core, third);
        await core.settled([second, third]);
        const { code, said } = await readerSays();
        const stops = [...said].filter(([, { verdict }]) => verdict === 'stop').map(([at, { reason }]) => [at, reason]);
        const stuck = core.projectorReports.stopped.map(
          ({ position }) => `${partitionKey(position)}@${position.offset}`,
        );
        expect([code, stops.map(([at]) => at).sort()]).toEqual([1, [...new Set(stuck)].sort()]);
        expect(stops.map(([, reason]) => reason)).toEqual(['corrupt', 'unreadable']);

        const declaredAt = new Date();
        const place = { log: core.log, namespace: core.namespace, database: core.admin };
        const voidAt = (at: string, count: number) => {
          const [, topic = '', partition = '', offset = ''] = /^(.+)\/(\d+)@(\d+)$/.exec(at) ?? [];
          const where = { topic, partition: Number(partition), offset: Number(offset) };
          return { ...where, last: where.offset + count - 1, reason: 'a test', declaredAt };
        };
        const [corrupt = [''], unreadable = ['']] = stops;
        const unread = voidAt(unreadable[0] ?? '', 3);
        await publishVoids(place, [
          voidAt(corrupt[0] ?? '', 1),
          unread,
          { ...unread, offset: unread.last + 2, last: unread.last + 2 },
        ]);
        await core.settled();
        expect(await agree()).toBeGreaterThan(40);
        const winners = (
          await verifyLog({ ...core, voids: (await readPublishedVoids(place)).voids })
        ).partitions.reduce((sum, each) => sum + each.winners, 0);
        expect((await core.rows('stream_events')).length).toBe(winners);
      },
      LONG_MS,
    );

    it(
      'voids whose topic the broker has compacted are the same to all',
      async () => {
        const name = `${core.namespace}.voids`;
        const place = { log: core.log, namespace: core.namespace, database: core.admin };
        const { voids } = await readPublishedVoids(place);
        expect(voids).toHaveLength(3);
        await compactAtOnce(client, name);
        await until(
          async () => {
            await publishVoids(place, voids); // a segment is compacted once another one follows it
            const [first] = await core.log.read({ topic: name, partition: 0, offset: 0 });
            return first !== undefined && first.offset > 0;
          },
          90_000,
          () => 'nothing was compacted',
        );
        const isVoid = voidTestOf((await readPublishedVoids(place)).voids);
        expect(voids.map(isVoid)).toEqual([true, true, true]);
        await agree();
      },
      LONG_MS,
    );

    it('an open transaction delays no reader', async () => {
      const transaction = await transactions.transaction();
      const within = claim({ stream: stream(0) });
      await transaction.send({ topic: core.catalog(0).topic, messages: [{ ...within }] });
      await core.append(core.catalog(0), claim({ stream: stream(0) }));
      await core.settled();
      await agree();
      await transaction.abort();
    });
  });
});

/** As soon as the broker's cleaner runs. */
async function compactAtOnce({ kafka }: KafkaClient, name: string): Promise<void> {
  const settings = { 'cleanup.policy': 'compact', 'segment.ms': '100', 'min.cleanable.dirty.ratio': '0' };
  const configEntries = Object.entries(settings).map(([key, value]) => ({ name: key, value }));
  const admin = kafka.admin();
  await admin.connect();
  const type = kafkajs.ConfigResourceTypes.TOPIC;
  await admin.alterConfigs({ validateOnly: false, resources: [{ type, name, configEntries }] });
  await admin.disconnect();
}

interface Row extends Record<string, unknown>, TopicPartition {
  readonly offset: number;
  readonly record_id: string;
  readonly stream: string;
  readonly type: string;
  readonly headers: Record<string, string>;
  readonly value: Buffer;
}

/** Encoded by our codec. */
function payloadOf(row: Row): Pick<Expected, 'payload' | 'isDecodable'> {
  try {
    return { payload: without('type', eventOf({ key: row.stream, ...row }, row.headers.ce_type ?? '')) };
  } catch {
    return { isDecodable: false };
  }
}
