import { afterAll, beforeAll, expect, it } from '@jest/globals';
import pg from 'pg';
import type { LogRecord } from '../../src/events/record.ts';
import { type Client, createClient } from '../support/client.ts';
import { chain, claim, withCorruptValue } from '../support/core.ts';
import { describeDistributed, type Distributed, startDistributed } from '../support/distributed.ts';
import { entryOf, ERROR, eventually, linesOf, metricOf } from '../support/observed.ts';
import { openStrangerClient, type StrangerClient } from '../support/stranger-client.ts';
import { catalog, streamIn } from '../support/streams.ts';
import { READ_VERSION } from '../../src/projections/projections.ts';

const change = { name: 'changed', year: 2001 };

describeDistributed('a winning record of another program that cannot be applied', () => {
  let system: Distributed;
  let outsider: StrangerClient;
  let client: Client;
  let quarantined = 0;

  beforeAll(async () => {
    system = await startDistributed();
    outsider = await openStrangerClient(system.env.KAFKA_BROKERS!.split(','));
    client = createClient(system.apis[0]!.url);
  });
  afterAll(async () => {
    await outsider.close();
    await system.stop();
  });

  const produce = (...records: readonly LogRecord[]) => outsider.produce(catalog(system, 0), ...records);
  const nameOf = async (stream: string) => (await client.get(`/albums/${stream}`)).body?.data?.album?.name;
  const shows = (stream: string, name: string) =>
    eventually(`${stream} is called ${name}`, async () => (await nameOf(stream)) === name);

  /** Checks that every process has reported it. */
  async function alarmed(stream: string, position: number, reason: RegExp): Promise<void> {
    quarantined++;
    const [projector] = system.projectors;
    const lines = () => linesOf(projector!, 'a stream is quarantined').filter((line) => line.stream === stream);
    await eventually(`an error line about ${stream}`, () => lines().length > 0);
    expect(lines()).toMatchObject([
      { level: ERROR, position: `${catalog(system, 0).topic}/0@${position}`, reason: expect.stringMatching(reason) },
    ]);
    expect(await metricOf(projector!, 'openmusic_records_quarantined_total')).toBe(quarantined);
    expect(await entryOf(system.apis[0]!, 'quarantine')).toEqual({
      status: 200,
      entry: { ok: false, detail: `${quarantined} streams are quarantined` },
    });
    expect((await system.cli('quarantine', 'list')).output).toMatch(reason);
  }

  async function isClosed(stream: string): Promise<void> {
    const answer = await client.put(`/albums/${stream}`, change);
    expect(answer).toMatchObject({ status: 503, body: { code: 'STREAM_QUARANTINED' } });
    expect(answer.headers.get('retry-after')).not.toBeNull();
  }

  it.each<[string, (record: LogRecord & { id: string }) => LogRecord, RegExp]>([
    ['its value is corrupt', withCorruptValue, /checksum of the value/],
    ['its schema is unknown', withValue(Buffer.from([0, 0, 0, 0x7f, 2, 0])), /schema id 32514 is unknown/],
    ['its payload does not decode', withValue(Buffer.from([0, 0, 0, 0, 2, 0xff])), /./],
  ])('because %s: closes its stream with an alarm, and others continue', async (_, spoil, reason) => {
    const [stream, other] = [streamIn(system, 0), streamIn(system, 0)];
    const [one, two, three] = chain(stream, ['as it was', 'never seen', 'kept']);
    const position = await outsider.end(catalog(system, 0));
    await produce(one!, spoil(two!), three!, claim({ stream: other }));
    await alarmed(stream, position + 1, reason);
    expect(await nameOf(stream)).toBe('as it was');
    await isClosed(stream);
    expect((await client.put(`/albums/${other}`, change)).status).toBe(200);
    expect(await nameOf(other)).toBe('changed');
    expect(await system.cli('quarantine', 'release', stream)).toMatchObject({ code: 2 });
    await isClosed(stream);
  });

  it('because Postgres refuses its row: a release applies it and what was kept, with the same rows as a rebuild', async () => {
    const stream = streamIn(system, 0);
    const [one, two, three] = chain(stream, ['fine', 'refused', 'last']);
    await onDatabase(`ADD CONSTRAINT no_refused CHECK (name <> 'refused')`);
    const position = await outsider.end(catalog(system, 0));
    await produce(one!, two!);
    await alarmed(stream, position + 1, /no_refused/);
    await produce(three!, claim({ stream: streamIn(system, 0) }));
    await isClosed(stream);
    expect(await nameOf(stream)).toBe('fine');

    await onDatabase('DROP CONSTRAINT no_refused');
    expect(await system.cli('quarantine', 'release', stream)).toMatchObject({
      code: 0,
      output: expect.stringContaining(`${stream} is open`),
    });
    quarantined--;
    await shows(stream, 'last');
    expect((await client.put(`/albums/${stream}`, change)).status).toBe(200);
    expect((await client.get(`/albums/${stream}`)).headers.get('etag')).toMatch(/^"4-/);
    expect((await entryOf(system.apis[0]!, 'quarantine')).entry).toMatchObject({
      detail: `${quarantined} streams are quarantined`,
    });
    const rebuilt = await system.cli('projections', 'rebuild');
    expect(rebuilt).toMatchObject({ code: 0, output: expect.stringContaining('equals the live generation') });
    expect(await nameOf(stream)).toBe('changed');
  });

  async function onDatabase(alter: string): Promise<void> {
    const database = new pg.Client(system.connection);
    await database.connect();
    await database.query(`ALTER TABLE ${system.namespace}_read_${READ_VERSION}_1.albums ${alter}`);
    await database.end();
  }
});

/** The record with other bytes and a correct checksum. */
function withValue(value: Buffer) {
  return ({ key: stream, id, headers }: LogRecord & { id: string }): LogRecord =>
    claim({ stream, id, value, version: Number(headers.ce_streamversion), prev: headers.ce_prev! });
}
