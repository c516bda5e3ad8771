import { once } from 'node:events';
import { Agent, type ClientRequest, get, request } from 'node:http';
import { parentPort, Worker, workerData } from 'node:worker_threads';

export interface FloodLogin {
  readonly username: string;
  readonly password: string;
  /** The client address in its header. */
  readonly from: string;
  /** Its client, whose connection the server has already accepted, disconnects once it has sent the request. */
  readonly leaves?: boolean;
}

interface Flood {
  readonly url: string;
  readonly logins: readonly FloodLogin[];
  readonly connections: number;
}

/**
 * Sends logins, each on a connection of its own, all at once or over so many connections, and resolves to their statuses.
 * It runs in a thread of its own, so that sending does not distort the test's measurements.
 */
export async function flood(url: string, logins: readonly FloodLogin[], connections = Infinity): Promise<number[]> {
  const data: Flood = { url, logins, connections };
  const worker = new Worker(new URL(import.meta.url), { workerData: data });
  const [[statuses]] = (await Promise.all([once(worker, 'message'), once(worker, 'exit')])) as [[number[]], unknown];
  return statuses;
}

async function logIn(url: string, login: FloodLogin): Promise<number> {
  const agent = new Agent({ keepAlive: login.leaves === true, maxSockets: 1 });
  if (login.leaves) await statusOf(get(`${url}/livez`, { agent }));
  const headers = { 'content-type': 'application/json', 'x-forwarded-for': login.from };
  const sent = request(`${url}/authentications`, { method: 'POST', headers, agent });
  const answered = statusOf(sent);
  sent.end(JSON.stringify({ username: login.username, password: login.password }));
  if (login.leaves) {
    await once(sent, 'finish').catch(() => undefined);
    agent.destroy();
    sent.destroy();
  }
  return answered;
}

/** 0 when there is no answer. */
const statusOf = (sent: ClientRequest) =>
  new Promise<number>((resolve) => {
    sent.once('error', () => resolve(0));
    sent.once('response', (answer) => answer.resume().once('end', () => resolve(answer.statusCode ?? 0)));
  });

async function logInAll({ url, logins, connections }: Flood): Promise<number[]> {
  const waiting = logins.entries();
  const statuses: number[] = [];
  const client = async () => {
    for (const [index, login] of waiting) statuses[index] = await logIn(url, login);
  };
  await Promise.all(Array.from({ length: Math.min(connections, logins.length) }, client));
  return statuses;
}

if (parentPort && workerData) parentPort.postMessage(await logInAll(workerData as Flood));
