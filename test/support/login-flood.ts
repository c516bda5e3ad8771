import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { parentPort, Worker, workerData } from 'node:worker_threads';

export interface FloodLogin {
  readonly username: string;
  readonly password: string;
  /** Address that it seems to come from. */
  readonly from: string;
  /** Its client leaves once it has sent the request. */
  readonly leaves?: boolean;
}

interface Flood {
  readonly url: string;
  readonly logins: readonly FloodLogin[];
  readonly connections: number;
}

/**
 * Sends logins, each on a connection of its own, all at once or over so many connections, and resolves to their statuses. In a thread of
 * its own: to send them would keep a test from measuring what others wait for.
 */
export async function flood(url: string, logins: readonly FloodLogin[], connections = Infinity): Promise<number[]> {
  const data: Flood = { url, logins, connections };
  const worker = new Worker(new URL(import.meta.url), { workerData: data });
  const [[statuses]] = (await Promise.all([once(worker, 'message'), once(worker, 'exit')])) as [[number[]], unknown];
  return statuses;
}

async function logIn(url: string, { username, password, from, leaves }: FloodLogin, agent: Agent): Promise<number> {
  const headers = { 'content-type': 'application/json', 'x-forwarded-for': from };
  const sent = request(`${url}/authentications`, { method: 'POST', headers, agent });
  const answered = new Promise<number>((resolve) => {
    sent.once('error', () => resolve(0));
    sent.once('response', (answer) => answer.resume().once('end', () => resolve(answer.statusCode ?? 0)));
  });
  sent.end(JSON.stringify({ username, password }));
  if (leaves) {
    await once(sent, 'finish').catch(() => undefined);
    sent.destroy();
  }
  return answered;
}

if (parentPort && workerData) {
  const { url, logins, connections } = workerData as Flood;
  const agent = new Agent({ keepAlive: false, maxSockets: connections });
  parentPort.postMessage(await Promise.all(logins.map((login) => logIn(url, login, agent))));
}
