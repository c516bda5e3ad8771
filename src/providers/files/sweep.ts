import { reasonOf } from '../../errors.ts';
import { sleep, type Stoppable } from '../../lifecycle.ts';
import type { Files } from './files.ts';

export interface SweepOptions {
  readonly files: Pick<Files, 'list' | 'remove'>;
  /** What the names of the files begin with. */
  readonly prefix: string;
  /** Those of the names that a row has. Undefined while the rows do not tell all that the log holds. */
  readonly named: (names: readonly string[]) => Promise<ReadonlySet<string> | undefined>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** A file is kept before the event that names it: so long afterwards, an event that is not there never comes. */
const GRACE_MS = 3_600_000;
const HOUR_MS = 3_600_000;
const AT_ONCE = 500;

/** Deletes files that no row names and that are over an hour old. Resolves with their names. */
export async function sweep(options: SweepOptions, signal?: AbortSignal): Promise<string[]> {
  const removed: string[] = [];
  for await (const names of oldNames(options)) {
    const kept = await options.named(names);
    if (!kept || signal?.aborted) return removed;
    for (const name of names) {
      if (kept.has(name)) continue;
      await options.files.remove(name);
      removed.push(name);
    }
  }
  return removed;
}

async function* oldNames({ files, prefix, now }: SweepOptions): AsyncGenerator<readonly string[]> {
  const before = now() - GRACE_MS;
  let names: string[] = [];
  for await (const { name, modifiedAt } of files.list(prefix)) {
    if (modifiedAt >= before) continue;
    names.push(name);
    if (names.length < AT_ONCE) continue;
    yield names;
    names = [];
  }
  if (names.length > 0) yield names;
}

/** Sweeps every hour, first after some part of one, so that many processes take turns. */
export function sweepHourly(
  options: SweepOptions,
  report: (level: 'info' | 'warn', message: string) => void,
  wait = sleep,
): Stoppable {
  const stopping = new AbortController();
  const { signal } = stopping;
  const sweeping = (async () => {
    for (let ms = Math.random() * HOUR_MS; ; ms = HOUR_MS) {
      await wait(ms, signal);
      if (signal.aborted) return;
      await sweep(options, signal).then(
        ({ length }) => length > 0 && report('info', `files that nothing names were deleted: ${length}`),
        (error: unknown) => report('warn', `files could not be swept: ${reasonOf(error)}`),
      );
    }
  })();
  return {
    async stop() {
      stopping.abort();
      await sweeping;
    },
  };
}
