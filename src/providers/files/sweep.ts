import { reasonOf } from '../../errors.ts';
import type { sleep } from '../../concurrency/sleep.ts';
import { hourly, type Stoppable } from '../../lifecycle.ts';
import { PART } from '../durable-file.ts';
import type { Files } from './files.ts';

interface Swept {
  readonly files: Pick<Files, 'list' | 'remove'>;
  /** What the names of the files begin with. */
  readonly prefix: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Told of what was deleted. */
  readonly removed?: (names: readonly string[]) => Promise<unknown>;
}

export interface SweepOptions extends Swept {
  /** Those of the names that a row has. Undefined while the rows do not tell all that the log holds. */
  readonly named: (names: readonly string[]) => Promise<ReadonlySet<string> | undefined>;
}

export interface SweepOldOptions extends Swept {
  readonly olderThanMs: number;
}

/** A file is kept before the event that names it: so long afterwards, an event that is not there never comes. */
const GRACE_MS = 3_600_000;
const AT_ONCE = 500;

/** Deletes files that no row names and that are over an hour old. Resolves with their names. */
export const sweep = ({ named, ...swept }: SweepOptions, signal?: AbortSignal): Promise<string[]> =>
  sweepBut(named, { ...swept, olderThanMs: GRACE_MS }, signal);

/** Deletes files that are so old, whoever names them, and what was left half-written. Resolves with their names. */
export const sweepOld = (options: SweepOldOptions, signal?: AbortSignal): Promise<string[]> =>
  sweepBut(() => Promise.resolve(NOBODYS), options, signal);

const NOBODYS: ReadonlySet<string> = new Set();

async function sweepBut(named: SweepOptions['named'], options: SweepOldOptions, signal?: AbortSignal) {
  const removed: string[] = [];
  for await (const names of oldNames(options)) {
    const kept = await named(names);
    if (!kept || signal?.aborted) return removed;
    const gone = names.filter((name) => !kept.has(name));
    for (const name of gone) await options.files.remove(name);
    await options.removed?.(gone);
    removed.push(...gone);
  }
  return removed;
}

async function* oldNames({ files, prefix, olderThanMs, now }: SweepOldOptions): AsyncGenerator<readonly string[]> {
  const at = now();
  let names: string[] = [];
  for await (const { name, modifiedAt } of files.list(prefix)) {
    if (at - modifiedAt <= (name.endsWith(PART) ? GRACE_MS : olderThanMs)) continue;
    names.push(name);
    if (names.length < AT_ONCE) continue;
    yield names;
    names = [];
  }
  if (names.length > 0) yield names;
}

/** Sweeps every hour. */
export function sweepHourly(
  options: SweepOptions | SweepOldOptions,
  report: (level: 'info' | 'warn', message: string) => void,
  wait?: typeof sleep,
): Stoppable {
  const removed = (signal: AbortSignal) => ('named' in options ? sweep(options, signal) : sweepOld(options, signal));
  return hourly(
    (signal) =>
      removed(signal).then(
        ({ length }) => length > 0 && report('info', `${whatOf(options)} were deleted: ${length}`),
        (error: unknown) => report('warn', `files could not be swept: ${reasonOf(error)}`),
      ),
    wait,
  );
}

const whatOf = (options: SweepOptions | SweepOldOptions) =>
  'named' in options ? 'files that nothing names' : `files under ${options.prefix} that have had their time`;
