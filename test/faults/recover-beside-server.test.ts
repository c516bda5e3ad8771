import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { createPlacement } from '../../src/events/placement.ts';
import { partitionKey } from '../../src/events/record.ts';
import { type Database, openDatabase } from '../../src/postgres/pool.ts';
import { type JobsApp, startJobsApp } from '../support/jobs-faults.ts';
import { eventually, linesOf } from '../support/observed.ts';
import { openmusic } from '../support/processes.ts';

const LONG_MS = 180_000;
const CUT = 3;

let app: JobsApp;
let database: Database;
beforeAll(async () => {
  app = await startJobsApp();
  database = openDatabase(app.connection, { name: 'test', max: 1, searchPath: ['openmusic'] });
}, LONG_MS);
afterAll(async () => {
  await database.stop();
  await app.stop();
});

const change = (album: string, year: number) => app.admin.put(`/albums/${album}`, { name: 'changed', year });
const recover = (answer: string) => openmusic(['log', 'recover', '--answer', answer, '--url', app.url], app.env);

it(
  'the server on an embedded log restores its tail',
  async () => {
    const album = (await app.admin.post('/albums', { name: 'Parachutes', year: 2000 })).body?.data?.albumId ?? '';
    for (let year = 2001; year <= 2001 + CUT; year++) expect((await change(album, year)).status).toBe(200);
    const where = createPlacement('openmusic', 2).place(album);
    const at = [where.topic, where.partition, CUT];
    const cut = 'UPDATE log_partitions SET next_offset = next_offset - $3 WHERE topic = $1 AND partition = $2';
    await database.query({ text: cut, values: at });
    const lost = `DELETE FROM log_records r USING log_partitions p WHERE r.topic = $1 AND r.partition = $2
      AND p.topic = r.topic AND p.partition = r.partition AND r."offset" >= p.next_offset`;
    await database.query({ text: lost, values: at.slice(0, 2) });
    await eventually('the partition is stopped', () =>
      linesOf(app.process(), 'a partition is no longer consumed').some(({ position }) =>
        String(position).startsWith(partitionKey(where)),
      ),
    );

    const anew = await recover('anew');
    expect(anew).toMatchObject({ code: 1, output: expect.stringContaining('A server runs on this log. Stop it') });
    const appended = await recover('append');
    expect(appended).toMatchObject({ code: 0, output: expect.stringContaining('The log is sound.') });
    await eventually('the album takes changes', async () => (await change(album, 2010)).status === 200);
    expect((await app.admin.get(`/albums/${album}`)).body?.data?.album).toMatchObject({ year: 2010 });
    const rebuilt = await openmusic(['projections', 'rebuild'], app.env);
    expect(rebuilt.output).toContain('equals the live generation');
  },
  LONG_MS,
);

it('records can be appended by a command of the server, and not by an admin', async () => {
  const { status, body } = await app.admin.post('/admin/log/records', {
    records: [{ topic: 'openmusic.catalog', partition: 0, key: '', value: '', headers: {} }],
  });
  expect({ status, code: body?.code }).toEqual({ status: 403, code: 'FORBIDDEN' });
});

it(
  'a server does not start during an unfinished recovery, which continues by itself',
  async () => {
    await database.query({ text: `INSERT INTO log_recovery (way) VALUES ('append')` });
    await expect(app.replace()).rejects.toThrow('A recovery of the log was begun at');
    const ended = await recover('no');
    expect(ended).toMatchObject({ code: 0, output: expect.stringContaining(': append.') });
    await app.replace();
    expect((await app.admin.post('/albums', { name: 'X & Y', year: 2005 })).status).toBe(201);
  },
  LONG_MS,
);
