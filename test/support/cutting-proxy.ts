import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { PostgresConnection } from '../../src/postgres/connection.ts';

/** A way to Postgres on which an answer can be lost. */
export interface CuttingProxy {
  readonly connection: PostgresConnection;
  /** The next answer of the server is swallowed, and the connection that waits for it is cut. */
  cutNextAnswer(): void;
  close(): Promise<void>;
}

export async function startCuttingProxy(connection: PostgresConnection): Promise<CuttingProxy> {
  let armed = false;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(connection.port, connection.host);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => [client, upstream].forEach((each) => each.destroy()));
    }
    client.pipe(upstream);
    upstream.on('data', (answer) => {
      if (armed) client.destroy();
      else client.write(answer);
      armed = false;
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    connection: { ...connection, host: '127.0.0.1', port: (server.address() as AddressInfo).port },
    cutNextAnswer: () => void (armed = true),
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}
