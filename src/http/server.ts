import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { Stoppable } from '../lifecycle.ts';
import { answerMalformed } from './malformed.ts';
import { nodeServer } from './node-server.ts';

export interface HttpOptions {
  /** `localhost` listens on all its addresses, IPv4 and IPv6. */
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** Milliseconds that running requests get to finish when the server stops. */
  readonly drainMs?: number;
}

export interface RunningServer extends Stoppable {
  /** With the actual port. */
  readonly url: string;
}

/**
 * Connections that the system completes before they are accepted; fewer where `net.core.somaxconn` is lower. One client that opens and
 * closes connections fills Node's default of 511, and others then connect only when their system retries, seconds later.
 */
const BACKLOG = 4_096;

/** Makes an app listen. Rejects with a one-line message when the port is in use or the address is not valid. */
export async function startHttp(app: FastifyInstance, options: HttpOptions): Promise<RunningServer> {
  const [first, ...others] = await addressesOf(options.host);
  try {
    await app.listen({ host: first, port: options.port, backlog: BACKLOG });
    const { port } = app.server.address() as AddressInfo;
    const servers = [app.server, ...(await alsoListen(app, others, port))];
    let stopped: Promise<void> | undefined;
    return {
      url: `http://${options.host.includes(':') ? `[${options.host}]` : options.host}:${port}`,
      stop: () => (stopped ??= drain(app, servers, options.drainMs ?? 10_000)),
    };
  } catch (error) {
    await app.close();
    throw explained(error, options);
  }
}

/** Fastify can listen on several addresses, but then answers malformed requests only on the first. */
async function addressesOf(host: string): Promise<[string, ...string[]]> {
  if (host !== 'localhost') return [host];
  const [first, ...others] = (await lookup(host, { all: true })).map(({ address }) => address);
  return [first ?? '127.0.0.1', ...others];
}

async function alsoListen(app: FastifyInstance, hosts: readonly string[], port: number): Promise<Server[]> {
  const servers: Server[] = [];
  for (const host of hosts) {
    const server = nodeServer(app.routing).on('clientError', answerMalformed);
    if (await binds(server, host, port)) servers.push(server);
  }
  return servers;
}

/** A machine without IPv6 may still list `::1` as an address of localhost. */
async function binds(server: Server, host: string, port: number): Promise<boolean> {
  try {
    await once(server.listen({ host, port, backlog: BACKLOG }), 'listening');
    return true;
  } catch (error) {
    if (codeOf(error) === 'EADDRINUSE') throw error;
    return false;
  }
}

/** Accepts no new connections, waits for running requests, and closes all connections at the deadline. */
async function drain(app: FastifyInstance, servers: readonly Server[], drainMs: number): Promise<void> {
  const idle = setInterval(() => servers.forEach((server) => server.closeIdleConnections()), 50);
  const cut = setTimeout(() => servers.forEach((server) => server.closeAllConnections()), drainMs);
  try {
    await Promise.all([app.close(), ...servers.slice(1).map(closed)]);
  } finally {
    clearInterval(idle);
    clearTimeout(cut);
  }
}

const closed = (server: Server) => new Promise<void>((resolve) => server.close(() => resolve()));

function explained(error: unknown, { host, port }: HttpOptions): unknown {
  switch (codeOf(error)) {
    case 'EADDRINUSE':
      return new Error(`Port ${port} on ${host} is in use. Stop the program that uses it, or choose another port.`);
    case 'EACCES':
      return new Error(`Port ${port} on ${host} cannot be opened by this user. Choose another port.`);
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new Error(`${host} is not an address of this machine.`);
    default:
      return error;
  }
}

const codeOf = (error: unknown): unknown =>
  typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
