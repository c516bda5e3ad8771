import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { createClient } from './client.ts';
import { eventually, metricOf } from './observed.ts';
import { withMachineSpeed } from './machine-speed.ts';
import type { OpenMusicProcess } from './processes.ts';

/** What other clients saw: the 95th percentile of their request times, and their failed requests. */
export interface ClientResults {
  readonly p99Ms: number;
  /** The speed of the machine meanwhile. */
  readonly paceMs: number;
  readonly errors: readonly string[];
}

/** A GET on a connection of its own, which ends with the answer. */
export async function getOnOwnConnection(url: string): Promise<{ status: number; retryAfter: number; text: string }> {
  const [response] = (await once(get(url, { agent: false }), 'response')) as [IncomingMessage];
  const retryAfter = Number(response.headers['retry-after'] ?? 0);
  return { status: response.statusCode ?? 0, retryAfter, text: await text(response) };
}

const PAUSE_MS = 20;

/** Reads, writes and probes, several at once, while `during` runs. */
export async function otherClientsDuring(url: string, during: Promise<unknown>): Promise<ClientResults> {
  const client = createClient(url);
  const { body } = await client.post('/albums', { name: 'Of others', year: 2000 });
  const [times, errors] = [[] as number[], [] as string[]];
  let isOver = false;
  const asked: readonly (() => Promise<{ status: number; text: string }>)[] = [
    () => client.get(`/albums/${body?.data?.albumId ?? ''}`),
    () => client.post('/albums', { name: 'Of others', year: 2000 }),
    () => client.get('/readyz'),
    () => client.get('/songs?limit=10'),
  ];
  const ask = async (send: () => Promise<{ status: number; text: string }>) => {
    while (!isOver) {
      const began = performance.now();
      const { status, text } = await send();
      times.push(performance.now() - began);
      if (status >= 400) errors.push(`${status} ${text}`);
      await delay(PAUSE_MS);
    }
  };
  const { paceMs } = await withMachineSpeed(async () => {
    const all = Promise.all(asked.map(ask));
    await during.finally(() => (isOver = true));
    await all;
  });
  return { p99Ms: times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? NaN, paceMs, errors };
}

/** The resources that a process uses, by its own metrics. */
export interface ResourceUse {
  /** Bytes in use, with garbage that was not collected yet. */
  readonly memory: number;
  readonly descriptors: number;
}

export async function resourceUseOf(process: Pick<OpenMusicProcess, 'url'>): Promise<ResourceUse> {
  const [heap, external, descriptors] = await Promise.all(
    ['nodejs_heap_size_used_bytes', 'nodejs_external_memory_bytes', 'process_open_fds'].map((name) =>
      metricOf(process, name),
    ),
  );
  return { memory: (heap ?? 0) + (external ?? 0), descriptors: descriptors ?? 0 };
}

const [MEMORY_UNSEEN, DESCRIPTORS_UNSEEN] = [20_000_000, 5];

/** Waits until a process uses no more than it did `before`. */
export async function untilResourcesAreFreed(
  before: ResourceUse,
  process: Pick<OpenMusicProcess, 'url'>,
  withinMs: number,
): Promise<void> {
  let after: ResourceUse | undefined;
  const isBack = async () => {
    for (let n = 0; n < 50; n++) await createClient(process.url).get('/songs?limit=100'); // so that garbage is collected
    after = await resourceUseOf(process);
    return (
      after.memory <= before.memory * 1.1 + MEMORY_UNSEEN &&
      after.descriptors <= before.descriptors * 1.1 + DESCRIPTORS_UNSEEN
    );
  };
  await eventually('it uses no more than before', isBack, withinMs).catch((error: unknown) => {
    throw new Error(JSON.stringify({ before, after }), { cause: error });
  });
}
