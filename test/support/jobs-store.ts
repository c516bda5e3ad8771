import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import { type AddressInfo } from 'node:net';
import { type Link, startProxy } from './proxy.ts';

/** How the proxy treats a request to S3. */
export type StoreConduct = 'well' | 'refuses' | 'hangs' | 'answers 503' | 'cuts uploads';

/** A proxy to an S3 server that can fail. */
export interface FaultyStore {
  readonly url: string;
  /** Uploads that were cut in the middle. */
  readonly cuts: number;
  /** From now on, for new connections; open ones are cut. */
  behave(conduct: StoreConduct): void;
  close(): Promise<void>;
}

/** The bytes of an upload that pass before it is cut. */
const BEFORE_CUT = 8_000;

export async function startFaultyStore(endpoint: string): Promise<FaultyStore> {
  const { hostname, port } = new URL(endpoint);
  const refusing = await startRefusing();
  let conduct: StoreConduct = 'well';
  let cuts = 0;
  const links = new Set<Link>();
  const target = {
    host: hostname,
    get port() {
      return conduct === 'answers 503' ? portOf(refusing) : Number(port);
    },
  };
  const proxy = await startProxy(target, (link) => {
    links.add(link);
    link.client.once('close', () => links.delete(link));
    if (conduct === 'refuses') link.cut();
    link.server.pipe(link.client);
    const mine = conduct;
    let sent = 0;
    link.client.on('data', (chunk: Buffer) => {
      sent += chunk.length;
      if (mine === 'hangs') return;
      const isTooMuch = mine === 'cuts uploads' && sent > BEFORE_CUT;
      link.server.write(isTooMuch ? chunk.subarray(0, chunk.length / 2) : chunk);
      if (!isTooMuch) return;
      cuts++;
      link.cut();
    });
  });
  return {
    url: `http://${proxy.host}:${proxy.port}`,
    get cuts() {
      return cuts;
    },
    behave(how) {
      conduct = how;
      links.forEach((link) => link.cut());
    },
    async close() {
      await proxy.close();
      refusing.closeAllConnections();
      refusing.close();
    },
  };
}

const SLOW_DOWN = '<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>';

async function startRefusing(): Promise<Server> {
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(503, { 'content-type': 'application/xml', connection: 'close' }).end(SLOW_DOWN);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

const portOf = (server: Server) => (server.address() as AddressInfo).port;
