import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { NOISE_MS, unharmed } from '../support/abuse.ts';
import { type RunningApp, startApp } from '../support/app.ts';
import { createClient } from '../support/client.ts';
import { flood } from '../support/login-flood.ts';
import { resourceUseOf, untilResourcesAreFreed } from '../support/other-clients.ts';
import { withMachineSpeed } from '../support/machine-speed.ts';
import { newPerson, type Person } from '../support/people.ts';
import { until } from '../support/servers/waiting.ts';

/** Rounds of requests by other clients, before the abuse and during it. */
const ROUNDS = 100;
const GUESSES = 150;
const LOGINS = 300;
const DEPARTED = 1_000;
/** How many run at once. */
const CONNECTIONS = 50;
const MINUTE_MS = 60_000;

let app: RunningApp;
let other: Person;
let album: string;

beforeAll(async () => {
  // Requests name the addresses that they come from. Each address has a limit of its own, which is not tested here.
  app = await startApp({ TRUST_PROXY: 'loopback', RATE_LOGIN: 'off', RATE_REGISTER: 'off' });
  other = await newPerson(app.url);
  album = (await createClient(app.url).post('/albums', { name: 'Parachutes', year: 2000 })).body?.data?.albumId ?? '';
  await logIn(other, other.password, HOME);
  const warm = await newPerson(app.url);
  await whileOthersWork(() => guessAt(warm));
  await whileOthersWork(() => flood(app.url, departed, CONNECTIONS));
}, 5 * MINUTE_MS);
afterAll(() => app.stop());

const HOME = '198.51.100.7';

const logIn = ({ username }: Person, password: string, from: string) =>
  createClient(app.url).post('/authentications', { username, password }, { 'x-forwarded-for': from });

const guessAt = ({ username }: Person) =>
  flood(
    app.url,
    Array.from({ length: GUESSES }, (_, n) => ({ username, password: `guess ${n}`, from: `203.0.113.${n % 6}` })),
  );

const departed = Array.from({ length: DEPARTED }, (_, n) => ({
  username: `unknown ${n}`,
  password: 'secret',
  from: `10.0.${n >> 8}.${n & 255}`,
  leaves: true,
}));

interface Measured {
  /** Milliseconds per kind of request. */
  readonly p99: Readonly<Record<string, number>>;
  /** The speed of the machine meanwhile. */
  readonly paceMs: number;
  readonly errors: readonly string[];
}

/** Other clients meanwhile: reads, writes, and a login from an address that logged in before. */
async function measure(goesOn: () => boolean): Promise<Measured> {
  const client = createClient(app.url);
  const acts = {
    read: () => client.get(`/albums/${album}`),
    write: () => client.post('/albums', { name: 'Meanwhile', year: 2026 }),
    authorized: () => other.client.get('/playlists'),
    login: () => logIn(other, other.password, HOME),
  };
  const errors: string[] = [];
  const round = async ([name, act]: [string, () => Promise<{ status: number; text: string }>]) => {
    const times: number[] = [];
    for (let done = 0; done < ROUNDS || goesOn(); done++) {
      const began = performance.now();
      const { status, text } = await act();
      times.push(performance.now() - began);
      if (status >= 400) errors.push(`${name}: ${status} ${text}`);
    }
    times.sort((a, b) => a - b);
    return [name, times[Math.floor(times.length * 0.99)] ?? NaN] as const;
  };
  const { result, paceMs } = await withMachineSpeed(() => Promise.all(Object.entries(acts).map(round)));
  return { p99: Object.fromEntries(result), paceMs, errors };
}

/** Runs the abuse while other clients work, and resolves to the results of both. */
async function whileOthersWork<T>(abuse: () => Promise<T>): Promise<{ before: Measured; during: Measured; result: T }> {
  const before = await measure(() => false);
  let isOver = false;
  const abusing = abuse().finally(() => (isOver = true));
  const [during, result] = await Promise.all([measure(() => !isOver), abusing]);
  return { before, during, result };
}

function expectUnharmed({ before, during }: { before: Measured; during: Measured }): void {
  expect(during.errors).toEqual([]);
  const slower = Object.entries(during.p99).filter(
    ([name, ms]) => ms > unharmed({ ms: before.p99[name] ?? NaN, paceMs: before.paceMs }, during.paceMs),
  );
  expect({ slower, before, paceMs: during.paceMs }).toEqual({ slower: [], before, paceMs: during.paceMs });
}

/** Runs the abuse while other clients work; afterwards the process must use no more memory than before. */
async function abuseAndSettle<T>(abuse: () => Promise<T>): Promise<T> {
  const before = await resourceUseOf(app);
  const outcome = await whileOthersWork(abuse);
  expectUnharmed(outcome);
  await untilResourcesAreFreed(before, app, MINUTE_MS + 30_000); // idle connections are kept for 75 s
  return outcome.result;
}

const tally = (statuses: readonly number[]) => {
  const counted: Record<number, number> = {};
  for (const status of statuses) counted[status] = (counted[status] ?? 0) + 1;
  return counted;
};

const timed = async (work: () => Promise<unknown>) => {
  const began = performance.now();
  await work();
  return performance.now() - began;
};

describe('other clients are not delayed by', () => {
  it(
    '150 password guesses at one account from 6 addresses, of which few are checked',
    async () => {
      const victim = await newPerson(app.url);
      const { 401: judged = 0, ...refused } = tally(await abuseAndSettle(() => guessAt(victim)));
      expect(judged).toBeGreaterThan(0);
      expect(judged).toBeLessThanOrEqual(33); // RATE_FAILURES, plus those in progress
      expect(Object.keys(refused).every((status) => ['429', '503'].includes(status))).toBe(true);
      expect((await victim.client.get('/playlists')).status).toBe(200);
    },
    5 * MINUTE_MS,
  );

  it(
    '300 logins at once',
    async () => {
      const { username, password } = await newPerson(app.url);
      const logins = Array.from({ length: LOGINS }, (_, n) => ({ username, password, from: `192.0.2.${n % 6}` }));
      const { 201: done = 0, ...refused } = tally(await abuseAndSettle(() => flood(app.url, logins)));
      expect(done).toBeGreaterThan(0);
      expect(Object.keys(refused)).toEqual(['503']);
    },
    5 * MINUTE_MS,
  );

  it(
    'logins whose clients have disconnected: they are not hashed',
    async () => {
      const late = await newPerson(app.url);
      const alone = await timed(() => logIn(other, other.password, HOME));
      await abuseAndSettle(async () => {
        await flood(app.url, departed, CONNECTIONS);
        // The account was not logged in to from this address, so its turn comes after the logins that still wait.
        const waited = await timed(() =>
          until(
            async () => (await logIn(late, late.password, '203.0.113.250')).status === 201,
            MINUTE_MS,
            () => 'it cannot log in',
          ),
        );
        expect(waited).toBeLessThan(10 * alone + NOISE_MS); // the whole queue is 64 times as long
      });
    },
    5 * MINUTE_MS,
  );
});
