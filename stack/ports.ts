import { lookup } from 'node:dns/promises';
import { reasonOf } from '../src/errors.ts';
import { refusalOf } from '../src/postgres/embedded/free-port.ts';

export { freePort } from '../src/postgres/embedded/free-port.ts';

/** A port that a service is to listen on. */
export interface WantedPort {
  /** The setting that chooses it. */
  readonly setting: string;
  readonly host: string;
  readonly port: number;
}

/** Why some of the ports cannot be used, in one line; undefined when all are free. */
export async function problemWith(ports: readonly WantedPort[]): Promise<string | undefined> {
  const problems = await Promise.all(ports.map((wanted) => problemOf(wanted, ports)));
  const all = problems.filter((each) => each !== undefined);
  return all.length === 0 ? undefined : all.join('; ');
}

async function problemOf(wanted: WantedPort, all: readonly WantedPort[]): Promise<string | undefined> {
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
