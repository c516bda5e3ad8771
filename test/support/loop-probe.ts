import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

/** What other clients noticed during the work. */
interface Noticed {
  /** Milliseconds of the slowest answer of `/livez`. */
  readonly worstMs: number;
  /** How often `/livez` was called. */
  readonly asked: number;
  /** Failed reads and writes of other clients, with reasons. */
  readonly errors: readonly string[];
}

interface Watched {
  readonly url: string;
  readonly albumId: string;
}

/** Watches the server from a thread of its own, so that the work of the test itself does not change the times. */
export async function noticedDuring(watched: Watched, act: () => Promise<unknown>): Promise<Noticed> {
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: watched });
  try {
    await once(worker, 'message');
    await act();
    worker.postMessage('stop');
    const [noticed] = (await once(worker, 'message')) as [Noticed];
    return noticed;
  } finally {
    await worker.terminate();
  }
}

const PAUSE_MS = 10;

async function watch({ url, albumId }: Watched): Promise<void> {
  const agent = new Agent({ keepAlive: true });
  const errors: string[] = [];
  let [worstMs, asked, stopped] = [0, 0, false];
  const send = (method: string, path: string, body?: string) => answerOf(agent, method, url + path, body);
  async function expectSuccess(method: string, path: string, body?: string): Promise<void> {
    const status = await send(method, path, body).catch(String);
    if (typeof status === 'string' || status >= 300) errors.push(`${method} ${path}: ${status}`);
  }
  async function askLivez(): Promise<void> {
    const began = performance.now();
    await expectSuccess('GET', '/livez');
    worstMs = Math.max(worstMs, performance.now() - began);
    asked++;
  }
  const repeat = async (ask: () => Promise<void>) => {
    while (!stopped) {
      await ask();
      await delay(PAUSE_MS);
    }
  };
  await expectSuccess('GET', '/livez'); // opens the connection
  const asking = [
    askLivez,
    () => expectSuccess('GET', `/albums/${albumId}`),
    () => expectSuccess('POST', '/albums', JSON.stringify({ name: 'Parachutes', year: 2000 })),
  ].map(repeat);
  parentPort?.postMessage('watching');
  parentPort?.once('message', () => (stopped = true));
  await Promise.all(asking);
  agent.destroy();
  parentPort?.postMessage({ worstMs, asked, errors } satisfies Noticed);
}

function answerOf(agent: Agent, method: string, url: string, body?: string): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const headers = body === undefined ? {} : { 'content-type': 'application/json' };
  request(url, { agent, method, headers }, (answer) => {
    answer.on('end', () => resolve(answer.statusCode ?? 0)).on('error', reject);
    answer.resume();
  })
    .on('error', reject)
    .end(body);
  return promise;
}

if (!isMainThread) await watch(workerData as Watched);
