import { afterAll, beforeAll, expect, it } from '@jest/globals';
import pg from 'pg';
import { createClient, type Job } from '../support/client.ts';
import { describeDistributed, type Distributed, startDistributed } from '../support/distributed.ts';
import { eventually } from '../support/observed.ts';
import { newPerson, type Person } from '../support/people.ts';

const LONG_MS = 240_000;
/** A second, on an idle machine. */
const SOON_MS = 5_000;

describeDistributed('a change of an operator', () => {
  let system: Distributed;
  beforeAll(async () => {
    system = await startDistributed({ apis: 2 });
  }, LONG_MS);
  afterAll(() => system.stop());

  async function operator(...args: readonly string[]): Promise<void> {
    expect(await system.cli('accounts', ...args)).toMatchObject({ code: 0 });
  }

  /** The status of each API process for the person's current token. */
  const statuses = (accessToken: string, path: string) =>
    Promise.all(system.apis.map(async ({ url }) => (await createClient(url, accessToken).get(path)).status));

  const become = (status: number, { accessToken }: Pick<Person, 'accessToken'>, path = '/admin/dead-letters') =>
    eventually(
      `${path} is ${status} everywhere`,
      async () => (await statuses(accessToken, path)).every((each) => each === status),
      SOON_MS,
    );

  it(
    'applies at once in every API process, as does a logout at one of them',
    async () => {
      const [one, other] = system.apis;
      const person = await newPerson(one!.url);
      await become(403, person);
      await operator('grant', person.username, 'admin');
      await become(200, person);
      await operator('revoke', person.username);
      await become(403, person);
      const second = await newPerson(other!.url);
      await become(200, second, '/playlists');
      await createClient(one!.url).delete('/authentications', {}, { refreshToken: second.refreshToken });
      await become(401, second, '/playlists');
      await operator('lock', person.username);
      await become(401, person, '/playlists');
    },
    LONG_MS,
  );

  it(
    'is listed safely: names of earlier versions can contain any characters',
    async () => {
      const { username } = await newPerson(system.apis[0]!.url);
      const sql = new pg.Client(system.connection);
      await sql.connect();
      const named = `UPDATE ${system.namespace}.accounts SET username = $2 WHERE username = $1`;
      await sql.query(named, [username, `${username}\u001b[2J\u202e\n`]);
      await sql.end();
      const { output } = await system.cli('accounts', 'list');
      expect(output).toContain(`${username}\\u001b[2J\\u202e\\u000a  user`);
      for (const character of ['\u001b', '\u202e']) expect(output).not.toContain(character);
    },
    LONG_MS,
  );

  it(
    'applies to waiting jobs too',
    async () => {
      const [{ url }] = system.apis as [(typeof system.apis)[number]];
      const [boss, former, locked] = [await newPerson(url), await newPerson(url), await newPerson(url)];
      await operator('grant', boss.username, 'admin');
      await operator('grant', former.username, 'admin');
      await become(200, boss);
      await become(200, former);
      const begin = async ({ client }: Person, job: object) =>
        (await client.post('/jobs', job)).body?.data?.jobId ?? '';
      const mail = { to: 'chris@example.com', subject: 'Yes', body: 'No' };
      const mailing = await begin(former, { type: 'email', payload: mail });
      const waiting = await begin(locked, { type: 'dummy' });
      await operator('revoke', former.username);
      await operator('lock', locked.username);
      await system.startWorker('worker');
      const read = async (id: string) => (await boss.client.get(`/jobs/${id}`)).body?.data?.job;
      const errorOf = (job: Job | undefined) => job?.attempts.map(({ error }) => error?.code);
      for (const [id, code] of [
        [mailing, 'OWNER_NO_ADMIN'],
        [waiting, 'OWNER_LOCKED'],
      ] as const) {
        await eventually(`${id} is dead`, async () => (await read(id))?.state === 'dead');
        expect(errorOf(await read(id))).toEqual([code]);
      }
      expect((await former.client.post(`/jobs/${mailing}/retry`)).body?.code).toBe('OWNER_NO_ADMIN');
      await operator('unlock', locked.username);
      expect((await boss.client.post(`/jobs/${waiting}/retry`)).status).toBe(202);
      await eventually('it is done', async () => (await read(waiting))?.state === 'succeeded');
    },
    LONG_MS,
  );
});
