import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type Client, createClient } from '../support/client.ts';
import { describeDistributed, type Distributed, startDistributed } from '../support/distributed.ts';
import { readLog, withEvidence } from '../support/history/index.ts';
import { servingSchema } from '../support/history/tables.ts';

const WRITERS = 8;
const CHANGES = 10;

describeDistributed('two processes that change the same album as fast as possible', () => {
  let system: Distributed;
  let clients: readonly Client[];
  beforeAll(async () => {
    system = await startDistributed({ apis: 2 });
    clients = system.apis.map(({ url }) => createClient(url));
  });
  afterAll(() => system.stop());

  /** Accepted versions of an album, and the number of records that claimed one. */
  const versionsOf = (album: string) =>
    withEvidence(system.env, async ({ admin, log, placement }) => {
      const text = `SELECT version FROM "${await servingSchema(admin)}".stream_events WHERE stream = $1 ORDER BY version`;
      const rows = await admin.query<{ version: number }>({ text, values: [album] });
      const claims = (await readLog(log, placement)).filter(({ key }) => key === album).length;
      return { versions: rows.map(({ version }) => version), claims };
    });

  it('give it versions 1 to n without a gap, and no client sees a lost race', async () => {
    const created = await clients[0]!.post('/albums', { name: 'contested', year: 2000 });
    const album = created.body!.data!.albumId!;
    const answers = await Promise.all(
      clients.flatMap((client) => Array.from({ length: WRITERS }, (_, writer) => changes(client, album, writer))),
    );
    expect(answers.flat()).toEqual(answers.flat().map(() => 200));
    const { versions, claims } = await versionsOf(album);
    expect(versions).toEqual(Array.from({ length: 1 + answers.flat().length }, (_, n) => n + 1));
    expect(claims).toBeGreaterThan(versions.length); // there were races, and some were lost
    const [one, other] = await Promise.all(clients.map(({ get }) => get(`/albums/${album}`)));
    expect(one!.headers.get('etag')).toMatch(`"${versions.length}-`);
    expect(other!.text).toBe(one!.text);
  }, 120_000);
});

/** Sends changes one after the other; resolves to their statuses. */
async function changes({ put }: Client, album: string, writer: number): Promise<number[]> {
  const statuses: number[] = [];
  for (let n = 0; n < CHANGES; n++) {
    const { status } = await put(`/albums/${album}`, { name: `change ${n} of ${writer}`, year: n });
    statuses.push(status);
  }
  return statuses;
}
