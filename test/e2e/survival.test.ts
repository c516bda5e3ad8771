import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type RunningApp, startApp } from '../support/app.ts';
import { createClient } from '../support/client.ts';

/** This suite kills the server, so it always starts its own. */
describe('a server that is killed', () => {
  let app: RunningApp;
  beforeAll(async () => void (app = await startApp()));
  afterAll(() => app.stop());

  it('has everything it acknowledged after a restart, and nothing twice', async () => {
    const { post, get } = createClient(app.url);
    const acknowledged = new Map<string, string>();
    const writing = Array.from({ length: 8 }, async (_, writer) => {
      for (let n = 0; ; n++) {
        const key = `number-of-the-writer-${writer}-${n}`;
        const answer = await post('/albums', { name: key, year: n }, { 'idempotency-key': key }).catch(() => undefined);
        if (answer?.status !== 201) return key;
        acknowledged.set(key, answer.body?.data?.albumId ?? '');
      }
    });
    while (acknowledged.size < 100) await new Promise((resolve) => setTimeout(resolve, 5));
    await app.kill();
    const cutOff = await Promise.all(writing);
    await app.restart();

    for (const [name, id] of acknowledged) expect((await get(`/albums/${id}`)).body?.data?.album?.name).toBe(name);
    for (const [name, id] of [...acknowledged].slice(-8)) {
      const year = Number(name.split('-').at(-1));
      const again = await post('/albums', { name, year }, { 'idempotency-key': name });
      expect([again.body?.data?.albumId, again.headers.get('idempotency-replayed')]).toEqual([id, 'true']);
    }
    for (const key of cutOff) {
      const year = Number(key.split('-').at(-1));
      expect((await post('/albums', { name: key, year }, { 'idempotency-key': key })).status).toBe(201);
    }
  });

  it('stops on SIGTERM, and starts again on the same data', async () => {
    const { post, get } = createClient(app.url);
    const id = (await post('/albums', { name: 'Viva la Vida', year: 2008 })).body?.data?.albumId ?? '';
    await app.restart();
    expect((await get(`/albums/${id}`)).status).toBe(200);
    expect(app.log()).toContain('stopped');
  });
});
