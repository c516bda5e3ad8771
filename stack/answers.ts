import { connect } from 'node:net';

/**
 * ApiVersions v0, correlation id 7, no client id: the one request that every broker answers before any login. kafkajs and ioredis
 * are ready only after one, for which the stack's user may have no credentials.
 */
const API_VERSIONS = Buffer.from('0000000a0012000000000007ffff', 'hex');

/** True once the broker answers in Kafka's protocol; its port opens well before. */
export async function kafkaAnswers(address: string): Promise<boolean> {
  const { host, port } = hostAndPort(address, 9092);
  const answer = await firstAnswer(host, port, API_VERSIONS, 10);
  return answer?.readInt32BE(4) === 7 && answer.readInt16BE(8) === 0;
}

/** True when a Redis server answers there, even if it requires a password. */
export async function redisAnswers(url: string): Promise<boolean> {
  const { hostname, port, protocol } = new URL(url);
  if (protocol === 'rediss:') return portOpens(hostname, Number(port || 6379));
  const answer = (await firstAnswer(hostname, Number(port || 6379), 'PING\r\n', 5))?.toString() ?? '';
  return answer.startsWith('+PONG') || answer.startsWith('-NOAUTH');
}

/** True when a process of OpenMusic is ready. */
export async function openMusicAnswers(url: string): Promise<boolean> {
  try {
    const answer = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(2_000) });
    await answer.text();
    return answer.ok;
  } catch {
    return false;
  }
}

function hostAndPort(address: string, defaultPort: number): { host: string; port: number } {
  const { hostname, port } = new URL(`tcp://${address}`);
  return { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? defaultPort : Number(port) };
}

const portOpens = async (host: string, port: number) => (await firstAnswer(host, port, undefined, 0)) !== undefined;

/** Sends a request and collects `bytes` of the answer; undefined when they do not come within a second. */
function firstAnswer(
  host: string,
  port: number,
  request: Buffer | string | undefined,
  bytes: number,
): Promise<Buffer | undefined> {
  const { promise, resolve } = Promise.withResolvers<Buffer | undefined>();
  let answer = Buffer.alloc(0);
  const socket = connect({ host, port });
  const finish = (result: Buffer | undefined) => {
    socket.destroy();
    resolve(result);
  };
  socket.setTimeout(1_000, () => finish(undefined));
  socket.on('error', () => finish(undefined)).on('close', () => finish(undefined));
  socket.on('connect', () => (request === undefined ? finish(answer) : socket.write(request)));
  socket.on('data', (chunk: Buffer) => {
    answer = Buffer.concat([answer, chunk]);
    if (answer.length >= bytes) finish(answer);
  });
  return promise;
}
