import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** Time for a client to read the last answer of a connection. What it sends meanwhile is discarded. */
const LINGER_MS = 2_000;
/** A client that reads nothing of an answer for this long is disconnected. */
const STALLED_MS = 20_000;
const CHECK_EVERY_MS = 1_000;
/** Pipelined requests that may wait while one is handled. Each is held with its body, and well-behaved clients send fewer. */
const MAX_PIPELINED = 10;

const ignore = () => undefined;
const muted = new WeakSet<Duplex>();

/** Discards everything that arrives on a connection from now on, so that a request with a missing part is never carried out. */
function mute(socket: Duplex): void {
  muted.add(socket);
  socket.on('data', ignore); // keeps the data from Node's parser
  for (const listener of socket.listeners('data')) if (listener !== ignore) socket.off('data', listener as () => void);
}

/** Ends a connection with these last bytes. The client may go on sending, so the connection is destroyed soon after. */
export function endConnection(socket: Duplex, bytes: string): void {
  mute(socket);
  // Node no longer handles errors of this socket, and an error without a listener would end the process.
  socket.on('error', ignore);
  socket.end(bytes, () => destroySoon(socket));
}

/** Ends a connection after the answer to the current request. Waiting requests are not handled. */
export function endAfter(response: ServerResponse, socket: Duplex, bytes: string): void {
  mute(socket);
  response.once('close', () => {
    if (socket.writable) endConnection(socket, bytes);
  });
}

function destroySoon(socket: Duplex): void {
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => clearTimeout(timer));
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/**
 * Handles the requests of a connection one after the other. Node passes on all pipelined requests at once, and each would hold
 * its resources until the client has read the answers before its own.
 */
export function oneAtATime(handle: Handler): Handler {
  const waiting = new WeakMap<Socket, (() => void)[]>();
  return (request, response) => {
    const { socket } = request;
    const queue = waiting.get(socket);
    const begin = () => {
      response.once('close', () => {
        cutUnread(request);
        const next = waiting.get(socket)?.shift();
        if (next && socket.writable && !muted.has(socket)) next();
        else waiting.delete(socket);
      });
      handle(request, response);
    };
    if (!queue) {
      waiting.set(socket, []);
      begin();
    } else if (queue.push(begin) > MAX_PIPELINED) socket.destroy();
  };
}

/** A request that was answered before its end was refused: the connection is destroyed soon, so that the rest need not be read. */
function cutUnread(request: IncomingMessage): void {
  const { socket } = request;
  if (request.complete || socket.destroyed) return;
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  const forget = () => clearTimeout(timer);
  request.once('end', forget).once('close', forget);
}

interface Pace {
  /** Bytes that the operating system had accepted at the last check. */
  taken: number;
  since: number;
}

/**
 * Disconnects clients that read nothing of the data that waits for them. What the operating system has accepted counts as read:
 * that can be some megabytes on one machine, and is much less between two.
 */
export function closeStalled(server: Server, { stalledMs = STALLED_MS, checkEveryMs = CHECK_EVERY_MS } = {}): void {
  const paces = new Map<Socket, Pace>();
  let timer: NodeJS.Timeout | undefined;
  server.on('connection', (socket: Socket) => {
    paces.set(socket, { taken: 0, since: performance.now() });
    socket.once('close', () => paces.delete(socket));
  });
  const check = () => {
    const now = performance.now();
    for (const [socket, pace] of paces) if (stalledFor(socket, pace, now) >= stalledMs) socket.destroy();
  };
  server.on('listening', () => (timer ??= setInterval(check, checkEveryMs)));
  server.on('close', () => clearInterval(timer));
}

function stalledFor(socket: Socket, pace: Pace, now: number): number {
  const taken = socket.bytesWritten - socket.writableLength - queuedBelow(socket);
  if (socket.writableLength === 0 || taken !== pace.taken) Object.assign(pace, { taken, since: now });
  return now - pace.since;
}

/** Bytes of the current write that are not sent yet: only Node's internal handle has that number. */
function queuedBelow(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (typeof handle !== 'object' || handle === null || !('writeQueueSize' in handle)) return 0;
  return Number(handle.writeQueueSize);
}
