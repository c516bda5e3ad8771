import net from 'node:net';
import tls from 'node:tls';
import type { ISocketFactory } from 'kafkajs';

const KEEP_ALIVE_MS = 60_000;

/** Every connection of one client, so that a client can be closed even if its brokers do not respond. */
export interface Sockets {
  readonly open: ISocketFactory;
  /** Destroys all connections, and each one that is opened later. */
  destroy(): void;
}

export function createSockets(): Sockets {
  const sockets = new Set<net.Socket>();
  let destroyed = false;
  const open: ISocketFactory = (target) => {
    const socket = destroyed ? new net.Socket() : connect(target);
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    if (destroyed) breakOff(socket);
    return socket;
  };
  return {
    open,
    destroy() {
      destroyed = true;
      sockets.forEach(breakOff);
    },
  };
}

/** With Nagle's algorithm a small request can wait 40 ms for the acknowledgement of the one before. */
function connect({ host, port, ssl, onConnect }: Parameters<ISocketFactory>[0]): net.Socket {
  const socket = isTls(ssl) ? connectTls({ host, port, ...ssl }, onConnect) : net.connect({ host, port }, onConnect);
  return socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS);
}

/** kafkajs passes null or false where there is no TLS, although its types exclude that. */
const isTls = (ssl: tls.ConnectionOptions | null | false): ssl is tls.ConnectionOptions =>
  ssl !== null && ssl !== false;

function connectTls(options: tls.ConnectionOptions & { host: string }, onConnect: () => void): net.Socket {
  const servername = net.isIP(options.host) === 0 ? { servername: options.host } : {};
  return tls.connect({ ...servername, ...options }, onConnect);
}

/** Only an error makes kafkajs reject its pending requests. A socket that kafkajs has ended itself needs none. */
const breakOff = (socket: net.Socket): void =>
  void socket.destroy(socket.writableEnded ? undefined : new Error('the client is closed'));
