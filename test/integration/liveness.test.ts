import { expect, it } from '@jest/globals';
import { consumersProbe, lifeOf } from '../../src/probes.ts';
import { claim, type Core, openCore, withCorruptHeader } from '../support/core.ts';
import { eventually } from '../support/observed.ts';
import { createDatabase } from '../support/servers/index.ts';

/** Delays the projector's transactions until the returned function is called. */
async function holdUp(core: Core): Promise<() => void> {
  const { schema } = await core.serving();
  const { promise: enough, resolve } = Promise.withResolvers<void>();
  const { promise: held, resolve: holds } = Promise.withResolvers<void>();
  const done = core.admin.use(async (client) => {
    await client.query(`BEGIN; LOCK TABLE "${schema}".stream_events IN EXCLUSIVE MODE`);
    holds();
    await enough;
    await client.query('COMMIT');
  });
  await held;
  return () => {
    resolve();
    void done;
  };
}

it('a projector is not alive while records wait and none is applied, and is alive again once they are', async () => {
  const database = await createDatabase();
  const core = await openCore({ connection: database.connection });
  const life = (stuckAfterMs?: number) => lifeOf(core.consumers, { hasApi: true, stuckAfterMs });
  const api = await core.openApi({ limits: { verdictWaitMs: 60_000 } });
  await api.createAlbum();
  await eventually('the projector is alive', () => life(1_000).ok);

  const release = await holdUp(core);
  const waiting = api.createAlbum();
  await eventually('the projector is not called alive any more', () => !life(1_000).ok);
  expect(life(1_000).detail).toMatch(/records wait and none was applied for \d+ s$/);
  expect(life()).toMatchObject({ ok: true }); // 15 s have not passed

  release();
  await waiting;
  await eventually('the projector is called alive again', () => life(1_000).ok);
  await core.close();
  await database.drop();
}, 60_000);

it('a stopped partition makes a process without the API not alive, and is only reported in one with it', async () => {
  const database = await createDatabase();
  const core = await openCore({ connection: database.connection });
  const where = core.catalog(0);
  await core.append(where, withCorruptHeader(claim({ stream: core.streamIn(0) })));
  const probe = consumersProbe(core.consumers, true);
  await eventually('the partition is shown as stopped', async () => !(await probe.check()).ok);
  const said = `${where.topic}/0 is stopped: key and headers sum up to`;
  expect((await probe.check()).detail).toContain(said);
  expect(lifeOf(core.consumers, { hasApi: true })).toEqual({ ok: true, detail: 'ok' });
  expect(lifeOf(core.consumers, { hasApi: false })).toEqual({ ok: false, detail: expect.stringContaining(said) });
  expect([true, false].map((hasApi) => consumersProbe(core.consumers, hasApi).needed)).toEqual(['never', 'always']);
  await core.close();
  await database.drop();
}, 60_000);
