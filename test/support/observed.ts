import { createClient } from './client.ts';
import type { OpenMusicProcess } from './processes.ts';
import { until } from './servers/waiting.ts';

/** A line of a process's log. */
export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export const FATAL = 60;
export const ERROR = 50;

/** The log lines of the process whose message begins like this. */
export function linesOf(process: OpenMusicProcess, msg: string): LogLine[] {
  const lines = process.output().split('\n');
  return lines.filter((line) => line.includes(`"msg":"${msg}`)).map((line) => JSON.parse(line) as LogLine);
}

/** The sum of a metric's samples whose labels contain the text; 0 without any. */
export async function metricOf({ url }: Pick<OpenMusicProcess, 'url'>, name: string, labels = ''): Promise<number> {
  const { text } = await createClient(url).get('/metrics');
  const samples = text.split('\n').filter((line) => /^\w+/.exec(line)?.[0] === name && line.includes(labels));
  return samples.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

/** The entry of a dependency in `/readyz`, and the status of the whole answer. */
export async function entryOf({ url }: OpenMusicProcess, dependency: string) {
  const { status, text } = await createClient(url).get('/readyz');
  const { data } = JSON.parse(text) as { data: { checks: Record<string, { ok: boolean; detail: string }> } };
  return { status, entry: data.checks[dependency] };
}

/** Waits until the condition holds, and throws with its name when it never does. */
export function eventually(what: string, ask: () => Promise<boolean> | boolean, ms = 30_000): Promise<void> {
  return until(
    () => Promise.resolve(ask()),
    ms,
    () => `not within ${ms} ms: ${what}`,
  );
}

/** Whether it answers at all; a frozen process does not. */
export const answers = ({ url }: OpenMusicProcess): Promise<boolean> =>
  fetch(`${url}/livez`, { signal: AbortSignal.timeout(2_000) }).then(
    () => true,
    () => false,
  );
