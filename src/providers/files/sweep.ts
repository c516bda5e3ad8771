import { reasonOf } from '../../errors.ts';
import type { sleep } from '../../concurrency/sleep.ts';
import { hourly, type Stoppable } from '../../lifecycle.ts';
import { PART } from '../durable-file.ts';
import type { Files } from './files.ts';

interface Swept {
  readonly files: Pick<Files, 'list' | 'remove'>;
  /** Prefix of the names of the files. */
  readonly prefix: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Called with the names that were deleted. */
  readonly removed?: (names: readonly string[]) => Promise<unknown>;
}

export interface SweepOptions extends Swept {
  /** Gives the names that a row has. Undefined while the rows lag behind the log. */
  readonly named: (names: readonly string[]) => Promise<ReadonlySet<string> | undefined>;
}

export interface SweepOldOptions extends Swept {
  readonly olderThanMs: number;
}

/** A file is written before the event that names it. After this time an event that is missing will not come. */
const GRACE_MS = 3_600_000;
const BATCH_SIZE = 500;

/** Deletes files that no row names and that are more than an hour old. Resolves with their names. */
export const sweep = ({ named, ...swept }: SweepOptions, signal?: AbortSignal): Promise<string[]> =>
  sweepUnless(named, { ...swept, olderThanMs: GRACE_MS }, signal);

/** Deletes files of that age, also those that a row names, and half-written files after an hour. Resolves with their names. */
export const sweepOld = (options: SweepOldOptions, signal?: AbortSignal): Promise<string[]> =>
  sweepUnless(() => Promise.resolve(NONE), options, signal);

const NONE: ReadonlySet<string> = new Set();

async function sweepUnless(named: SweepOptions['named'], options: SweepOldOptions, signal?: AbortSignal) {
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
    if (names.length < BATCH_SIZE) continue;
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
  'named' in options ? 'files that no row names' : `expired files under ${options.prefix}`;
