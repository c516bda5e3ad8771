import { expect, it } from '@jest/globals';
import { projectorLife } from '../../src/probes.ts';
import { type Core, openCore } from '../support/core.ts';
import { eventually } from '../support/observed.ts';
import { createDatabase } from '../support/servers/index.ts';

/** Holds the projector's transactions up until the returned function is called. */
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

it('a projector is not alive while records wait and none is applied, and is again once they are', async () => {
  const database = await createDatabase();
  const core = await openCore({ connection: database.connection });
  const feeds = core.feeds ?? (await core.feed());
  const api = await core.openApi({ limits: { verdictWaitMs: 60_000 } });
  await api.createAlbum();
  await eventually('the projector is alive', () => projectorLife(feeds, 1_000).ok);

  const letGo = await holdUp(core);
  const waiting = api.createAlbum();
  await eventually('the projector is not called alive any more', () => !projectorLife(feeds, 1_000).ok);
  expect(projectorLife(feeds, 1_000).detail).toMatch(/^1 records wait and none was applied for \d+ s$/);
  expect(projectorLife(feeds)).toMatchObject({ ok: true }); // 15 s are not over

  letGo();
  await waiting;
  await eventually('the projector is called alive again', () => projectorLife(feeds, 1_000).ok);
  await core.close();
  await database.drop();
}, 60_000);
