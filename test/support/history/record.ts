import { randomBytes, randomInt } from 'node:crypto';
import { Agent } from 'node:http';
import { type Choice, anything, readsOf } from './choices.ts';
import { work } from './clients.ts';
import { newPerson } from '../people.ts';
import { attempt } from './exchange.ts';
import type { History, Operation, Person, PlannedRequest } from './history.ts';
import { createMeter, type Load } from './load.ts';

export interface RecordOptions {
  /** The API processes; each request goes to a random one. Read for every request: a test may replace a dead process. */
  readonly urls: readonly string[];
  /** How many clients work at once. */
  readonly clients?: number;
  /** How many additional clients only read. */
  readonly readers?: number;
  /** The requests of clients; any request by default. */
  readonly choice?: Choice;
  /** The requests of the clients that only read; by default the reads among the clients' choices. */
  readonly look?: Choice;
  /** The seed of every choice: `HISTORY_SEED`, else a new one. It is printed. */
  readonly seed?: number;
  /** How long a client waits for an answer. */
  readonly giveUpAfterMs?: number;
  /** How long after the end a keyed request with an unknown outcome is repeated. */
  readonly settleWithinMs?: number;
}

const GIVE_UP_AFTER_MS = 15_000;
const SETTLE_WITHIN_MS = 30_000;
const PEOPLE = 4;

/** Lets clients work while `during` runs, and returns everything they saw. */
export async function recordHistory(options: RecordOptions, during: (load: Load) => Promise<void>): Promise<History> {
  const { choice = anything, look = readsOf(choice) } = options;
  const { urls, clients = 8, readers = 3, seed = seedOfRun(), giveUpAfterMs = GIVE_UP_AFTER_MS } = options;
  process.stdout.write(`HISTORY_SEED=${seed}\n`);
  const people = await register(urls[0] ?? '', PEOPLE);
  const meter = createMeter(urls);
  const [ended, tooLate] = [new AbortController(), new AbortController()];
  const signals = { ended: ended.signal, tooLate: tooLate.signal };
  const working = work({ urls, clients, readers, choice, look, people, seed, giveUpAfterMs, meter, ...signals });
  await during(meter.load).catch(async (error: unknown) => {
    ended.abort();
    tooLate.abort();
    await working;
    throw error;
  });
  ended.abort();
  const late = setTimeout(() => tooLate.abort(), options.settleWithinMs ?? SETTLE_WITHIN_MS);
  const operations = await working.finally(() => clearTimeout(late));
  return { seed, operations };
}

const seedOfRun = (): number => Number(process.env.HISTORY_SEED ?? randomInt(2 ** 31));

/** People who are registered for one history. */
export const register = (url: string, count: number): Promise<Person[]> =>
  Promise.all(
    Array.from({ length: count }, async () => {
      const { id, username, accessToken } = await newPerson(url);
      return { id, username, accessToken };
    }),
  );

/** Sends all of these to every process when the load is over. */
export async function readEverything(
  requests: readonly PlannedRequest[],
  urls: readonly string[],
): Promise<Operation[]> {
  const agent = new Agent({ keepAlive: true });
  const left = urls.flatMap((url) => requests.map((request) => ({ url, request })));
  const run = `everything.${randomBytes(4).toString('hex')}`;
  const operations: Operation[] = [];
  const reader = async () => {
    for (let next = left.pop(); next; next = left.pop()) {
      const name = `${run}.${left.length}`;
      const done = await attempt(next.request, { id: name, url: next.url, agent, giveUpAfterMs: GIVE_UP_AFTER_MS });
      operations.push({ name, request: next.request, attempts: [done] });
    }
  };
  await Promise.all(Array.from({ length: 8 }, reader)).finally(() => agent.destroy());
  return operations;
}
