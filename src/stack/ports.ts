import { randomInt } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { createServer } from 'node:net';
import { reasonOf } from '../errors.ts';

/** A port that a service is to listen on. */
export interface WantedPort {
  /** The setting that chooses it. */
  readonly setting: string;
  readonly host: string;
  readonly port: number;
}

/**
 * A free port below the range from which clients get theirs (32768 and up): while a server is down, a client that keeps
 * reconnecting could otherwise be given that very port, connect to itself and keep the server from coming back.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 32_000);
    if ((await refusalOf('127.0.0.1', port)) === undefined) return port;
  }
}

/** What is wrong with some ports, in one line. */
export async function complaintAbout(ports: readonly WantedPort[]): Promise<string | undefined> {
  const complaints = await Promise.all(ports.map((wanted) => complaint(wanted, ports)));
  const all = complaints.filter((each) => each !== undefined);
  return all.length === 0 ? undefined : all.join('; ');
}

async function complaint(wanted: WantedPort, all: readonly WantedPort[]): Promise<string | undefined> {
  const { setting, host, port } = wanted;
  const twin = all.find((other) => other.port === port);
  if (twin && twin !== wanted) return `${setting} and ${twin.setting} are both ${port}`;
  const refused = (await Promise.all((await addressesOf(host)).map((address) => refusalOf(address, port)))).find(
    Boolean,
  );
  switch (refused) {
    case undefined:
      return undefined;
    case 'EADDRINUSE':
      return `port ${port} of ${host} is in use: stop the program that has it, or set ${setting} to another one`;
    default:
      return `port ${port} of ${host} cannot be listened on (${refused}): set ${setting} to another one`;
  }
}

async function addressesOf(host: string): Promise<string[]> {
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch (error) {
    throw new Error(`HOST ${host} is not an address of this machine: ${reasonOf(error)}`, { cause: error });
  }
}

/** Why nobody can listen there. A machine without IPv6 may still name `::1` as an address of localhost. */
function refusalOf(address: string, port: number): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const server = createServer();
  server.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code === 'EADDRNOTAVAIL' ? undefined : code));
  server.listen(port, address, () => server.close(() => resolve(undefined)));
  return promise;
}
