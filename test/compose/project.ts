import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../src/stack/ports.ts';
import { KEY_NAMES } from '../../src/keys.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const HEALTHY_WITHIN_S = 600;

type Environment = Readonly<Record<string, string>>;

/** docker-compose.yml under a name, an image and ports of its own, beside whatever else runs here. */
export interface ComposeProject {
  readonly name: string;
  readonly url: string;
  /** Names its servers, as tests and OpenMusic itself take them. */
  readonly servers: Environment;
  /** Builds, starts, and resolves when every service is healthy. */
  up(): Promise<void>;
  /** SIGTERM to these services. Resolves to the exit code of each. */
  stop(...services: string[]): Promise<Record<string, number>>;
  /** Takes the containers away, and their unnamed volumes; the named ones stay. */
  removeContainers(): Promise<void>;
  /** What each service printed last, and how it is. */
  show(): Promise<void>;
  /** Leaves nothing of it behind. */
  remove(): Promise<void>;
}

export async function createProject(signal: AbortSignal): Promise<ComposeProject> {
  const name = `openmusic-test-${randomBytes(3).toString('hex')}`;
  const ports = await freePorts('PORT', 'KAFKA_PORT', 'PGPORT', 'REDIS_PORT');
  const login = { PGUSER: 'openmusic', PGPASSWORD: randomBytes(12).toString('hex'), PGDATABASE: 'openmusic' };
  const secrets = Object.fromEntries(KEY_NAMES.map((name) => [name, randomBytes(32).toString('hex')]));
  const env = { OPENMUSIC_IMAGE: name, BIND: '127.0.0.1', ...ports, ...login, ...secrets };
  // What is in .env is for the stack of whoever works here.
  const project = ['compose', '--project-name', name, '--env-file', '/dev/null', '--progress', 'plain'];
  const compose = (args: readonly string[], aborted?: AbortSignal) =>
    run('docker', [...project, ...args], env, aborted);
  return {
    name,
    url: `http://127.0.0.1:${ports.PORT}`,
    servers: {
      ...{ PGHOST: '127.0.0.1', PGPORT: ports.PGPORT, ...login },
      KAFKA_BROKERS: `localhost:${ports.KAFKA_PORT}`,
      REDIS_URL: `redis://127.0.0.1:${ports.REDIS_PORT}`,
    },
    up: () => compose(['up', '--build', '--detach', '--wait', '--wait-timeout', String(HEALTHY_WITHIN_S)], signal),
    async stop(...services) {
      await compose(['stop', ...services], signal);
      return exitCodes(await output([...project, 'ps', '--all', '--format', 'json', ...services]));
    },
    removeContainers: () => compose(['rm', '--stop', '--force', '--volumes'], signal),
    async show() {
      await compose(['ps', '--all']);
      await compose(['logs', '--no-color', '--tail', '200']);
    },
    async remove() {
      await compose(['down', '--volumes', '--remove-orphans', '--timeout', '10']);
      await run('docker', ['image', 'rm', '--force', name], env);
    },
  };
}

/** Free ones, no two the same. */
async function freePorts<Name extends string>(...names: Name[]): Promise<Record<Name, string>> {
  const ports = new Set<string>();
  while (ports.size < names.length) ports.add(String(await freePort()));
  return Object.fromEntries([...ports].map((port, index) => [names[index], port])) as Record<Name, string>;
}

/** Runs a program to its end, which it tells about by itself. Rejects when it fails or was interrupted. */
export async function run(
  program: string,
  args: readonly string[],
  env: Environment,
  signal?: AbortSignal,
): Promise<void> {
  const child = spawn(program, args, { cwd: root, env: { ...process.env, ...env }, stdio: 'inherit', signal });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}`);
}

async function output(args: readonly string[]): Promise<string> {
  const child = spawn('docker', args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  return text(child.stdout);
}

/** Of `docker compose ps --format json`: a line each. */
function exitCodes(lines: string): Record<string, number> {
  const states = lines.trim().split('\n').map((line) => JSON.parse(line) as { Service: string; ExitCode: number }); // prettier-ignore
  return Object.fromEntries(states.map(({ Service, ExitCode }) => [Service, ExitCode]));
}
