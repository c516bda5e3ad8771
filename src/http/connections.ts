import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Socket } from 'node:net';

/** A client has so long to read the last answer of a connection; what it sends meanwhile is not kept. */
const LINGER_MS = 2_000;
/** A client that takes nothing of an answer for so long is cut. */
const STALLED_MS = 20_000;
const LOOK_EVERY_MS = 1_000;
/** No client of good will sends more requests than that before it reads an answer. */
const MAX_PIPELINED = 100;

/** Ends a connection with these last bytes. The client may go on sending, so the connection is destroyed soon after. */
export function endConnection(socket: Duplex, bytes: string): void {
  // Node has let go of the socket: an error that nothing listens for would end the process.
  socket.on('error', () => undefined);
  socket.end(bytes, () => destroySoon(socket));
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
        if (next && socket.writable) next();
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

/** Cuts clients that read nothing of what waits for them. */
export function cutStalled(server: Server): void {
  const paces = new Map<Socket, Pace>();
  let timer: NodeJS.Timeout | undefined;
  server.on('connection', (socket: Socket) => {
    paces.set(socket, { taken: 0, since: performance.now() });
    socket.once('close', () => paces.delete(socket));
  });
  const look = () => {
    const now = performance.now();
    for (const [socket, pace] of paces) if (isStalled(socket, pace, now)) socket.destroy();
  };
  server.on('listening', () => (timer ??= setInterval(look, LOOK_EVERY_MS)));
  server.on('close', () => clearInterval(timer));
}

function isStalled(socket: Socket, pace: Pace, now: number): boolean {
  const taken = socket.bytesWritten - socket.writableLength - queuedBelow(socket);
  if (socket.writableLength > 0 && taken === pace.taken) return now - pace.since >= STALLED_MS;
  pace.taken = taken;
  pace.since = now;
  return false;
}

/** Of a large write that is under way only Node's own handle knows how much is left. */
function queuedBelow(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (typeof handle !== 'object' || handle === null || !('writeQueueSize' in handle)) return 0;
  return Number(handle.writeQueueSize);
}
