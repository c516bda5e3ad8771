import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { signal } from '../../src/postgres/embedded/processes.ts';
import { guard } from '../../stack/guard.ts';
import { until } from './servers/waiting.ts';

const main = fileURLToPath(new URL('../../stack/main.ts', import.meta.url));
const WITHIN_MS = 180_000;

/** The process of `npm run stack`, as in a terminal: in a process group of its own. */
export interface StackProcess {
  /** Everything that it has printed. */
  output(): string;
  /** Resolves when it has printed this. */
  says(what: RegExp): Promise<RegExpExecArray>;
  /** The process of one of its services. */
  pidOf(service: string): Promise<number>;
  /** Sends the signal as the terminal does, to the whole group. */
  pressCtrlC(): void;
  kill(): void;
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
}

export function runStack(cwd: string, env: Readonly<Record<string, string>>): StackProcess {
  const child = spawn(process.execPath, [main], { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  child.once('exit', guard(`kill -9 ${pidOf(child)}`));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (output += data.toString()));
  let hasEnded = false;
  const ended = once(child, 'close').then(([code, signal]) => {
    hasEnded = true;
    return (code ?? signal) as number | NodeJS.Signals;
  });
  const says = async (what: RegExp) => {
    const said = () => Promise.resolve(hasEnded || what.test(output));
    await until(said, WITHIN_MS, () => `the stack does not say ${what.source}:\n${output}`);
    const found = what.exec(output);
    if (!found) throw new Error(`the stack ended without saying ${what.source}:\n${output}`);
    return found;
  };
  return {
    output: () => output,
    says,
    pidOf: async (service) => Number((await says(new RegExp(`^${service} .*\\(pid (\\d+)\\)$`, 'm')))[1]),
    pressCtrlC() {
      if (!hasEnded) signal(-pidOf(child), 'SIGINT');
    },
    kill: () => void child.kill('SIGKILL'),
    ended,
  };
}

function pidOf({ pid }: ChildProcess): number {
  if (pid === undefined) throw new Error('the stack could not be started');
  return pid;
}

/** The processes that use a directory: they run in it, name it, or were given it. Linux only; elsewhere the list is empty. */
export async function processesOf(directory: string): Promise<string[]> {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  const all = await Promise.all(pids.map(async (pid) => ({ pid, about: await aboutProcess(pid) })));
  return all.filter(({ about }) => about.includes(directory)).map(({ pid, about }) => `${pid} ${about.slice(0, 100)}`);
}

async function aboutProcess(pid: string): Promise<string> {
  const parts = ['cmdline', 'environ'].map((name) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => ''));
  const all = await Promise.all([...parts, readlink(`/proc/${pid}/cwd`).catch(() => '')]);
  return all.join(' ').replaceAll('\0', ' ');
}
