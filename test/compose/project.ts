import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const HEALTHY_WITHIN_S = 600;

type Environment = Readonly<Record<string, string>>;

/** docker-compose.yml without any environment, under its own project name. */
export interface ComposeProject {
  readonly name: string;
  readonly url: string;
  /** Names its servers as tests and OpenMusic do. */
  readonly servers: Environment;
  /** Builds, starts, and resolves when every service is healthy. */
  up(): Promise<void>;
  /** Starts another API with these settings. Resolves when it has exited. */
  startWith(settings: Environment): Promise<Printed>;
  /** Sends SIGTERM to these services. Resolves to the exit code of each. */
  stop(...services: string[]): Promise<Record<string, number>>;
  /** Removes the containers and their unnamed volumes; the named ones stay. */
  removeContainers(): Promise<void>;
  /** The last output of each service, and its state. */
  show(): Promise<void>;
  /** Removes everything. */
  remove(): Promise<void>;
}

/** Every variable that docker-compose.yml reads from the environment. */
const TAKEN = [...readFileSync(path.join(root, 'docker-compose.yml'), 'utf8').matchAll(/\$\{(\w+):-/g)].map(
  ([, name = '']) => name,
);

/** Starts it as a new user does: no variable is set, so the ports of the file must be free. */
export function createProject(signal: AbortSignal): ComposeProject {
  const name = `openmusic-test-${randomBytes(3).toString('hex')}`;
  // The .env file of the developer must not be read.
  const project = ['compose', '--project-name', name, '--env-file', '/dev/null', '--progress', 'plain'];
  const compose = (args: readonly string[], aborted?: AbortSignal) => run('docker', [...project, ...args], {}, aborted);
  return {
    name,
    url: 'http://localhost:5000',
    servers: {
      PGHOST: '127.0.0.1',
      PGPORT: '5432',
      PGUSER: 'openmusic',
      PGPASSWORD: 'openmusic',
      PGDATABASE: 'openmusic',
      KAFKA_BROKERS: 'localhost:9092',
      REDIS_URL: 'redis://127.0.0.1:6379',
    },
    up: () => compose(['up', '--build', '--detach', '--wait', '--wait-timeout', String(HEALTHY_WITHIN_S)], signal),
    startWith: (settings) => {
      const given = Object.entries(settings).flatMap(([setting, value]) => ['--env', `${setting}=${value}`]);
      return printed([...project, 'run', '--rm', '--no-deps', ...given, 'api', 'node', 'src/main.ts']);
    },
    async stop(...services) {
      await compose(['stop', ...services], signal);
      return exitCodes((await printed([...project, 'ps', '--all', '--format', 'json', ...services])).output);
    },
    removeContainers: () => compose(['rm', '--stop', '--force', '--volumes'], signal),
    async show() {
      await compose(['ps', '--all']);
      await compose(['logs', '--no-color', '--tail', '200']);
    },
    remove: () => compose(['down', '--volumes', '--remove-orphans', '--timeout', '10']),
  };
}

/** Runs a program to its end, with its output on this terminal. Rejects when it fails or was interrupted. */
export async function run(
  program: string,
  args: readonly string[],
  env: Environment,
  signal?: AbortSignal,
): Promise<void> {
  const child = spawn(program, args, { cwd: root, env: { ...environment, ...env }, stdio: 'inherit', signal });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}`);
}

interface Printed {
  readonly code: number | null;
  readonly output: string;
}

async function printed(args: readonly string[]): Promise<Printed> {
  const child = spawn('docker', args, { cwd: root, env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'close') as Promise<[number | null]>;
  const [out, errors] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: (await ended)[0], output: out + errors };
}

/** The environment without the variables that the file reads. */
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !TAKEN.includes(name)));

/** Parses `docker compose ps --format json`: one line each. */
function exitCodes(lines: string): Record<string, number> {
  const states = lines.trim().split('\n').map((line) => JSON.parse(line) as { Service: string; ExitCode: number }); // prettier-ignore
  return Object.fromEntries(states.map(({ Service, ExitCode }) => [Service, ExitCode]));
}
