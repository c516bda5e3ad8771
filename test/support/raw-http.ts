import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';

export interface RawAnswer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

/** Sends bytes unchanged, and reads until the server closes, or until its first answer is complete. */
export async function rawHttp(url: string, bytes: string | Buffer): Promise<RawAnswer> {
  const socket = await dial(url);
  socket.write(bytes);
  return parseAnswer(await firstAnswer(socket));
}

export async function dial(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname.replace(/[[\]]/g, ''));
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  return socket;
}

/** Everything that arrives until the server closes. */
export const untilClosed = (socket: Socket): Promise<string> => text(socket);

function firstAnswer(socket: Socket): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let got = '';
  socket.setEncoding('latin1').on('data', (data: string) => {
    got += data;
    if (isComplete(got)) socket.destroy();
  });
  socket.once('error', reject).once('close', () => resolve(got));
  return promise;
}

function isComplete(got: string): boolean {
  const end = got.indexOf('\r\n\r\n');
  const length = /^content-length: (\d+)/im.exec(got)?.[1];
  return end >= 0 && length !== undefined && got.length >= end + 4 + Number(length);
}

function parseAnswer(got: string): RawAnswer {
  const [head = '', body = ''] = got.split('\r\n\r\n', 2);
  const [first = '', ...lines] = head.split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)]),
  );
  return { status: Number(first.split(' ')[1]), headers, body };
}
