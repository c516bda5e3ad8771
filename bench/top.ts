import type { Profiler } from 'node:inspector/promises';

const MOST = 25;
const IDLE = '(idle)';

/** The functions in which a process was most of its busy time, a line each. */
export function topOf({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): string {
  const nameOf = new Map(nodes.map(({ id, callFrame }) => [id, show(callFrame)]));
  const selfTime = new Map<string, number>();
  for (const [index, id] of samples.entries()) {
    const name = nameOf.get(id) ?? '';
    selfTime.set(name, (selfTime.get(name) ?? 0) + (timeDeltas[index] ?? 0));
  }
  const all = sum(selfTime.values());
  const idle = selfTime.get(IDLE) ?? 0;
  selfTime.delete(IDLE);
  const top = [...selfTime].sort(([, a], [, b]) => b - a).slice(0, MOST);
  const lines = top.map(([name, time]) => `${percent(time / (all - idle)).padStart(7)}  ${name}`);
  return [`busy ${percent(1 - idle / all)} of the time, of which in`, ...lines].join('\n');
}

function show({ functionName, url, lineNumber }: Profiler.ProfileNode['callFrame']): string {
  const name = functionName || '(anonymous)';
  return url === '' ? name : `${name}  ${url.split('/').slice(-3).join('/')}:${lineNumber + 1}`;
}

const sum = (values: Iterable<number>): number => Array.from(values).reduce((total, value) => total + value, 0);
const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
