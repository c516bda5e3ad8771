import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** One connection through a proxy. The creator of the proxy decides what passes. */
export interface Link {
  readonly client: Socket;
  readonly server: Socket;
  /** Breaks both ends. */
  cut(): void;
}

export interface Proxy {
  readonly host: string;
  readonly port: number;
  close(): Promise<void>;
}

/** A proxy to a server, on a port of its own. `join` is called for every connection and lets its bytes through, or not. */
export async function startProxy(to: { host: string; port: number }, join: (link: Link) => void): Promise<Proxy> {
  const links = new Set<Link>();
  const listener = createServer((client) => {
    const server = connect(to.port, to.host);
    const link: Link = { client, server, cut: () => [client, server].forEach((socket) => socket.destroy()) };
    links.add(link);
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        link.cut();
        links.delete(link);
      });
    }
    join(link);
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return {
    host: '127.0.0.1',
    port: (listener.address() as AddressInfo).port,
    async close() {
      listener.close();
      for (const link of links) link.cut();
      await once(listener, 'close');
    },
  };
}
