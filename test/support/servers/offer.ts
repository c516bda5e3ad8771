import { reasonOf } from '../../../src/errors.ts';
import { dockerAnswers, engineHost } from './docker.ts';
import type { Kind, Started } from './kinds.ts';
import { type ReservedPort, reservePort } from './reserved-port.ts';
import type { Skip, Way } from './types.ts';
import { until } from './waiting.ts';

type Log = (line: string) => void;

/** An available server. None of ours is started until `start` is called. */
export interface Offer<T> {
  /** The first available way. */
  readonly way: Way;
  /** The address of the server; undefined where only its start can tell. */
  readonly address: T | undefined;
  start(): Promise<Started<T>>;
  /** Releases what was reserved for a server that was never started. */
  release(): Promise<void>;
}

/**
 * Looks for a way to a server: the environment, Docker, native. `TEST_SERVERS=env|docker|native` leaves one way. A server
 * of the environment must answer now, since another one in its place would hide that it is down.
 */
export async function offer<T extends object>(kind: Kind<T>, log: Log): Promise<Offer<T> | Skip> {
  const allowed = waysOf(process.env.TEST_SERVERS);
  const named = allowed.includes('env') ? kind.ofEnvironment() : undefined;
  if (named !== undefined) return ofEnvironment(kind, named, log);
  const closed = await reasons(kind, allowed);
  const ways = (['docker', 'native'] as const).filter((way) => closed[way] === undefined);
  if (ways.length > 0) return ofOurs(kind, ways, log);
  const skip = `no ${kind.name} (env: not named; docker: ${closed.docker}; native: ${closed.native})`;
  log(skip);
  return { skip };
}

function waysOf(forced: string | undefined): Way[] {
  if (forced === undefined || forced === '') return ['env', 'docker', 'native'];
  if (forced === 'env' || forced === 'docker' || forced === 'native') return [forced];
  throw new Error(`TEST_SERVERS is env, docker or native, not ${forced}`);
}

async function ofEnvironment<T extends object>(kind: Kind<T>, address: T, log: Log): Promise<Offer<T>> {
  const where = kind.shown(address);
  await until(
    () => kind.answers(address),
    10_000,
    () => `${kind.name} of the environment does not answer at ${where}`,
  );
  log(`${kind.name}: ${where} (env)`);
  const nothing = () => Promise.resolve();
  return { way: 'env', address, start: () => Promise.resolve({ ...address, stop: nothing }), release: nothing };
}

async function reasons(kind: Kind<unknown>, allowed: readonly Way[]) {
  const reasonOfWay = async (way: Way, ask: () => Promise<true | string>) => {
    const can = allowed.includes(way) ? await ask() : 'not asked for';
    return can === true ? undefined : can;
  };
  return {
    docker: await reasonOfWay('docker', dockerAnswers),
    native: await reasonOfWay('native', () => kind.canBeNative()),
  };
}

type OurWay = Exclude<Way, 'env'>;

async function ofOurs<T extends object>(kind: Kind<T>, ways: readonly OurWay[], log: Log): Promise<Offer<T>> {
  const [way = 'native'] = ways;
  const host = way === 'docker' ? engineHost() : LOOPBACK;
  const reserved = await reservePort();
  // A native server cannot replace one on another machine.
  const open = host === LOOPBACK ? ways : ways.slice(0, 1);
  return {
    way,
    address: kind.at(host, reserved.port),
    start: () => startBy(kind, open, reserved, log),
    release: () => reserved.release(),
  };
}

const LOOPBACK = '127.0.0.1';

/** Starts the server in the first way that works. */
async function startBy<T extends object>(kind: Kind<T>, ways: readonly OurWay[], reserved: ReservedPort, log: Log) {
  const begin = performance.now();
  await reserved.release();
  const failures: string[] = [];
  for (const way of ways) {
    try {
      const server = await by[way](kind, reserved.port);
      log(`${kind.name}: ${kind.shown(server)} (${way}, ${Math.round(performance.now() - begin)} ms)`);
      return server;
    } catch (error) {
      failures.push(`${way} failed: ${reasonOf(error).trim().split('\n')[0] ?? ''}`);
    }
  }
  throw new Error(`no ${kind.name} (${failures.join('; ')})`);
}

const by = {
  /** A container that reports ready may not be reachable from here. */
  async docker<T>(kind: Kind<T>, port: number): Promise<Started<T>> {
    const server = await kind.inDocker(port);
    try {
      await until(
        () => kind.answers(server),
        10_000,
        () => `nothing answers at ${kind.shown(server)}`,
      );
      return server;
    } catch (error) {
      await server.stop();
      throw error;
    }
  },
  native: <T>(kind: Kind<T>, port: number): Promise<Started<T>> => kind.natively(port),
};
