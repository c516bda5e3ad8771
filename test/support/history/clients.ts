import { randomBytes } from 'node:crypto';
import { Agent } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { Choice } from './choices.ts';
import { attempt } from './exchange.ts';
import type { Attempt, Operation, Person, PlannedRequest } from './history.ts';
import { createLearning, type Learning } from './known.ts';
import type { Meter } from './load.ts';
import { createRandom, type Random } from './random.ts';

/** What all clients of one load share. */
export interface Team {
  readonly urls: readonly string[];
  /** The number of clients that make any request. */
  readonly clients: number;
  /** The number of additional clients that only read, so that reads continue while all others wait for an answer. */
  readonly readers: number;
  /** The requests of the first and of the others. */
  readonly choice: Choice;
  readonly look: Choice;
  /** The people in whose names they ask. */
  readonly people: readonly Person[];
  readonly seed: number;
  readonly giveUpAfterMs: number;
  readonly meter: Meter;
  /** Fires when no new operation may begin. */
  readonly ended: AbortSignal;
  /** Fires when operations with an unknown outcome may no longer be repeated. */
  readonly tooLate: AbortSignal;
}

const KEYED = 0.6;
const TWINS = 0.1;
const PAUSE_MS = 50;

/** Lets all clients work until stopped. Resolves to all their operations. */
export async function work(team: Team): Promise<Operation[]> {
  const learning = createLearning(team.people);
  const agent = new Agent({ keepAlive: true });
  const run = `${team.seed}.${randomBytes(4).toString('hex')}`;
  const clients = Array.from({ length: team.clients + team.readers }, (_, number) => {
    const random = createRandom(team.seed + 7919 * number);
    const choose = number < team.clients ? team.choice : team.look;
    return client({ ...team, agent, learning, name: `${run}.${number}`, random, choose });
  });
  return (await Promise.all(clients).finally(() => agent.destroy())).flat();
}

interface Client extends Team {
  readonly name: string;
  readonly agent: Agent;
  readonly random: Random;
  readonly learning: Learning;
  readonly choose: Choice;
}

/** One operation after the other. */
async function client(one: Client): Promise<Operation[]> {
  const operations: Operation[] = [];
  while (!one.ended.aborted) {
    const request = one.choose(one.random, one.learning);
    const operation = request && (await perform(one, `${one.name}.${operations.length}`, request));
    if (operation) operations.push(operation);
    if (operation) one.learning.from(operation);
    if (!operation || isUnknown(operation)) await delay(PAUSE_MS * one.random.next());
  }
  return operations;
}

const isUnknown = ({ attempts }: Operation) => attempts.at(-1)?.outcome.kind === 'unknown';

/** Sends a request, with a key as often as it takes to learn its outcome, sometimes to two processes at once. */
async function perform(one: Client, name: string, request: PlannedRequest): Promise<Operation> {
  const { random, urls, tooLate } = one;
  const key = request.effect && random.chance(KEYED) ? `operation-key-of-client-${name}` : undefined;
  const send = (url = '') => sendOnce(one, `${name}/${attempts.length}`, url, key, request);
  const twins = key !== undefined && random.chance(TWINS) ? urls.slice(0, 2) : [];
  const attempts: Promise<Attempt>[] = [];
  for (const url of twins.length > 1 ? twins : [random.pick(urls)]) attempts.push(send(url));
  while (key !== undefined && !(await Promise.all(attempts)).some(isDecided) && !tooLate.aborted) {
    await delay(PAUSE_MS);
    attempts.push(send(random.pick(urls)));
  }
  return { name, request, key, attempts: await Promise.all(attempts) };
}

const isDecided = ({ outcome }: Attempt) =>
  outcome.kind === 'ok' || (outcome.kind === 'refused' && outcome.status < 500);

async function sendOnce(
  one: Client,
  id: string,
  url: string,
  key: string | undefined,
  request: PlannedRequest,
): Promise<Attempt> {
  const { agent, giveUpAfterMs, meter } = one;
  meter.begin(request);
  const done = await attempt(request, { id, url, key, agent, giveUpAfterMs });
  meter.count(request, done);
  return done;
}
