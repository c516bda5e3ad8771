import { randomInt } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { createRandom } from '../support/history/random.ts';
import { type JobsApp, runOrThrow, startJobsApp } from '../support/jobs-faults.ts';
import { newPerson } from '../support/people.ts';
import { type ApiDocument, fuzz } from '../support/openapi-fuzz.ts';

const REQUESTS = Number(process.env.FUZZ_REQUESTS ?? 3_000);
const WITHIN_MS = 60_000 + REQUESTS * 20;

let app: JobsApp;
beforeAll(async () => {
  const unlimited = {
    RATE_LOGIN: 'off',
    RATE_REGISTER: 'off',
    RATE_FAILURES: 'off',
    RATE_JOBS: 'off',
    RATE_COVERS: 'off',
  };
  app = await startJobsApp({ env: { ...unlimited, JOBS_UNFINISHED: '1000000' } });
}, 120_000);
afterAll(() => app.stop());

async function adminToken(): Promise<string> {
  const { username, password, client } = await newPerson(app.url);
  await runOrThrow(['accounts', 'grant-admin', username], app.env);
  const { body } = await client.post('/authentications', { username, password });
  return body?.data?.accessToken ?? '';
}

it(
  'every operation answers fuzzed requests as the API page says, and never with a 5xx',
  async () => {
    const seed = Number(process.env.SEED ?? randomInt(2 ** 31));
    const [person, other] = [await newPerson(app.url), await newPerson(app.url)];
    const admin = await adminToken();
    const document = (await (await fetch(`${app.url}/docs/json`)).json()) as ApiDocument;
    const tokens = [person.accessToken, other.accessToken, admin];
    const outcome = await fuzz({ url: app.url, document, tokens, random: createRandom(seed), requests: REQUESTS });
    console.log(`seed ${seed}: ${JSON.stringify(outcome.statuses)}`);
    const { statuses, ...faults } = outcome;
    expect({ seed, ...faults }).toEqual({ seed, unasked: [], undocumented: {}, failures: {} });
    // Requests without meaning would find no fault.
    expect(statuses[200]).toBeGreaterThan(REQUESTS / 20);
    expect(statuses[201]).toBeGreaterThan(REQUESTS / 100);
  },
  WITHIN_MS,
);
