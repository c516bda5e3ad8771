import type { Profiler } from 'node:inspector/promises';

const MOST = 25;
const MAX_PARTS = 15;
const IDLE = '(idle)';

type CallFrame = Profiler.ProfileNode['callFrame'];

/** The functions and the parts in which a process spent most of its busy time, a line each. */
export function topOf(found: Profiler.Profile): string {
  const functions = selfTimes(found, show);
  const all = sum(functions.values());
  const busy = all - (functions.get(IDLE) ?? 0);
  return [
    `busy ${percent(busy / all)} of the time, of which in`,
    ...largest(functions, busy, MOST),
    'by parts',
    ...largest(selfTimes(found, partOf), busy, MAX_PARTS),
  ].join('\n');
}

/** Microseconds at the top of the stack, by name. */
function selfTimes({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile, nameOf: (frame: CallFrame) => string) {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const times = new Map<string, number>();
  for (const [index, id] of samples.entries()) {
    const name = names.get(id) ?? '';
    times.set(name, (times.get(name) ?? 0) + (timeDeltas[index] ?? 0));
  }
  return times;
}

const largest = (times: ReadonlyMap<string, number>, busy: number, most: number): string[] =>
  [...times]
    .filter(([name]) => name !== IDLE)
    .sort(([, a], [, b]) => b - a)
    .slice(0, most)
    .map(([name, time]) => `${percent(time / busy).padStart(7)}  ${name}`);

function show({ functionName, url, lineNumber }: CallFrame): string {
  const name = functionName || '(anonymous)';
  return url === '' ? name : `${name}  ${url.split('/').slice(-3).join('/')}:${lineNumber + 1}`;
}

/** A package, a module of Node, or a directory of ours; otherwise V8 and the operating system. */
function partOf({ functionName, url }: CallFrame): string {
  if (functionName === IDLE) return IDLE;
  const path =
    /\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url) ?? /\/(src(?:\/\w+)?)\//.exec(url) ?? /^(node:\w+)/.exec(url);
  return path?.[1] ?? (functionName.startsWith('(') ? functionName : 'native functions');
}

const sum = (values: Iterable<number>): number => Array.from(values).reduce((total, value) => total + value, 0);
const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
