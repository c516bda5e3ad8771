import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { guard } from '../stack/guard.ts';

const root = fileURLToPath(new URL('../', import.meta.url));

/** A Node process that runs a file of this project. */
export interface Child {
  readonly pid: number;
  /** Its exit code; null when a signal ended it. */
  readonly ended: Promise<number | null>;
  /** Everything it has printed so far. */
  output(): string;
  /** Resolves to its answer to a message, one at a time. Rejects when it ends instead. */
  ask(message: object): Promise<unknown>;
  /** Sends SIGTERM and resolves when it has ended. Twice is fine. */
  stop(): Promise<void>;
}

export interface ChildOptions {
  /** Its working directory, whose `.env` it reads. */
  readonly cwd?: string;
  readonly args?: readonly string[];
  /** Options of Node itself. */
  readonly node?: readonly string[];
  /** Settings. Only the PATH of this process's environment is passed on. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts a file of this project. It is killed when this process ends, however that happens. */
export function startChild(file: string, { cwd = root, args = [], node = [], env = {} }: ChildOptions = {}): Child {
  const child = fork(path.join(root, file), args, {
    cwd,
    execArgv: [...node],
    env: { PATH: process.env.PATH, ...env },
    silent: true,
    serialization: 'advanced',
  });
  if (child.pid === undefined) throw new Error(`${file} could not be started`);
  child.once('exit', guard(`kill -9 ${child.pid}`));
  const ended = once(child, 'exit').then(([code]) => code as number | null);
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data) => (printed += String(data)));
  const output = () => printed;
  return {
    pid: child.pid,
    ended,
    output,
    ask: (message) => ask(child, message, output),
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** The message that a child sends back (`answers.ts`). */
export type Reply = { readonly answer: unknown } | { readonly failure: string };

async function ask(child: ChildProcess, message: object, output: () => string): Promise<unknown> {
  const answered = new AbortController();
  const ended = once(child, 'exit', { signal: answered.signal }).then(() => {
    throw new Error(`the process ended:\n${output()}`);
  });
  ended.catch(() => undefined);
  try {
    const answer = once(child, 'message', { signal: answered.signal }) as Promise<[Reply]>;
    answer.catch(() => undefined);
    child.send(message);
    const [reply] = await Promise.race([answer, ended]);
    if ('failure' in reply) throw new Error(reply.failure);
    return reply.answer;
  } finally {
    answered.abort();
  }
}
