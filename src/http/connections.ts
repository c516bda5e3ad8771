import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** A client has so long to read the last answer of a connection; what it sends meanwhile is not kept. */
const LINGER_MS = 2_000;
/** A client that takes nothing of an answer for so long is cut. */
const STALLED_MS = 20_000;
const LOOK_EVERY_MS = 1_000;
/** Requests that may wait while one is handled. Each is held with its body, and no client of good will sends so many. */
const MAX_PIPELINED = 10;

const ignore = () => undefined;
const muted = new WeakSet<Duplex>();

/** From now on what comes on a connection is read and not kept: no request of which a part is missing is ever carried out. */
function mute(socket: Duplex): void {
  muted.add(socket);
  socket.on('data', ignore); // so that Node's parser no longer gets the data
  for (const listener of socket.listeners('data')) if (listener !== ignore) socket.off('data', listener as () => void);
}

/** Ends a connection with these last bytes. The client may go on sending, so the connection is destroyed soon after. */
export function endConnection(socket: Duplex, bytes: string): void {
  mute(socket);
  // Node has let go of the socket: an error that nothing listens for would end the process.
  socket.on('error', ignore);
  socket.end(bytes, () => destroySoon(socket));
}

/** Ends it when the request that is handled now has its answer. Those that wait are not handled any more. */
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
 * Handles the requests of a connection one after the other. Node hands over all that arrive at once, and each would hold
 * what it needs until the client has read the answers before its own.
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

/** A request that was answered before its end was refused: the rest is not read for longer than the answer takes to arrive. */
function cutUnread(request: IncomingMessage): void {
  const { socket } = request;
  if (request.complete || socket.destroyed) return;
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  const forget = () => clearTimeout(timer);
  request.once('end', forget).once('close', forget);
}

interface Pace {
  /** Bytes that the operating system had taken when this was last looked at. */
  taken: number;
  since: number;
}

/**
 * Cuts clients that read nothing of what waits for them. What the operating system has taken counts as read: it may be some megabytes
 * on one machine, and much less between two.
 */
export function closeStalled(server: Server, { stalledMs = STALLED_MS, lookEveryMs = LOOK_EVERY_MS } = {}): void {
  const paces = new Map<Socket, Pace>();
  let timer: NodeJS.Timeout | undefined;
  server.on('connection', (socket: Socket) => {
    paces.set(socket, { taken: 0, since: performance.now() });
    socket.once('close', () => paces.delete(socket));
  });
  const look = () => {
    const now = performance.now();
    for (const [socket, pace] of paces) if (stalledFor(socket, pace, now) >= stalledMs) socket.destroy();
  };
  server.on('listening', () => (timer ??= setInterval(look, lookEveryMs)));
  server.on('close', () => clearInterval(timer));
}

function stalledFor(socket: Socket, pace: Pace, now: number): number {
  const taken = socket.bytesWritten - socket.writableLength - queuedBelow(socket);
  if (socket.writableLength === 0 || taken !== pace.taken) Object.assign(pace, { taken, since: now });
  return now - pace.since;
}

/** Of a large write that is under way only Node's own handle knows how much is left. */
function queuedBelow(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (typeof handle !== 'object' || handle === null || !('writeQueueSize' in handle)) return 0;
  return Number(handle.writeQueueSize);
}
