import { fileURLToPath } from 'node:url';
import type { ProcessRole } from '../src/config.ts';
import { openMusicAnswers } from './answers.ts';
import { type Child, type Program, runChild, startChild } from './child.ts';
import type { Service } from './service.ts';

/** Every role, in the order in which they are started. */
export const ROLES: readonly ProcessRole[] = ['projector', 'exporter', 'worker', 'scheduler', 'publisher', 'api'];

export interface RunOptions {
  readonly environment: NodeJS.ProcessEnv;
  readonly log: string;
  readonly signal: AbortSignal;
}

/** Creates the log at the first start, and checks it at every later one. */
export function initLog(options: RunOptions): Promise<Child> {
  return runChild(openMusic('log init', ['src/cli/openmusic.ts', 'log', 'init'], options), options.signal);
}

/** A projector may have much to apply before it is ready. */
const READY_WITHIN_MS = 600_000;

/** Starts a role as a process of its own, which serves the API or, in the other roles, its probes at `url`. */
export async function startRole(
  role: ProcessRole,
  { url, ...options }: RunOptions & { url: string },
): Promise<Service> {
  const environment = { ...options.environment, ROLES: role, HEALTH_PORT: new URL(url).port };
  const child = await startChild(openMusic(role, ['src/main.ts'], { ...options, environment }), {
    answers: () => openMusicAnswers(url),
    withinMs: READY_WITHIN_MS,
    signal: options.signal,
  });
  return { ...child, address: url };
}

function openMusic(name: string, [file = '', ...args]: string[], { environment, log }: RunOptions): Program {
  const script = fileURLToPath(new URL(`../${file}`, import.meta.url));
  return { name, command: process.execPath, args: [script, ...args], cwd: process.cwd(), environment, log };
}
