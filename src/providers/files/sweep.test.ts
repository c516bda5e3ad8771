import { describe, expect, it } from '@jest/globals';
import { sweep, sweepHourly, sweepOld, type SweepOptions } from './sweep.ts';

const HOUR = 3_600_000;
const NOW = Date.UTC(2026, 0, 1);

/** Makes a store of files by name, with their age in milliseconds, and rows that name some of them. */
function keeping(ages: Record<string, number>, named: readonly string[] = []) {
  const files = new Map(Object.entries(ages));
  const asked: string[][] = [];
  const options: SweepOptions = {
    files: {
      // eslint-disable-next-line @typescript-eslint/require-await
      async *list(prefix) {
        for (const [name, age] of files) if (name.startsWith(prefix)) yield { name, modifiedAt: NOW - age };
      },
      remove: (name) => Promise.resolve(void files.delete(name)),
    },
    prefix: 'covers/',
    named: (names) => {
      asked.push([...names]);
      return Promise.resolve(new Set(named));
    },
    now: () => NOW,
  };
  return { files, asked, options, left: () => [...files.keys()] };
}

describe('a sweep', () => {
  it('deletes files that no row names and that are more than an hour old', async () => {
    const { options, left, asked } = keeping({
      'covers/old.png': HOUR + 1,
      'covers/young.png': HOUR,
      'covers/half.png.part': 2 * HOUR,
      'other/old.png': 2 * HOUR,
    });
    expect(await sweep(options)).toEqual(['covers/old.png', 'covers/half.png.part']);
    expect(left()).toEqual(['covers/young.png', 'other/old.png']);
    expect(asked).toEqual([['covers/old.png', 'covers/half.png.part']]);
  });

  it('keeps a file of any age that a row names', async () => {
    const { options, left } = keeping({ 'covers/a.png': 1_000 * HOUR, 'covers/b.png': HOUR + 1 }, ['covers/a.png']);
    expect(await sweep(options)).toEqual(['covers/b.png']);
    expect(left()).toEqual(['covers/a.png']);
  });

  it('reads no rows when no file is old', async () => {
    const { options, asked } = keeping({ 'covers/young.png': 0 });
    expect(await sweep(options)).toEqual([]);
    expect(asked).toEqual([]);
  });

  it('stops when the rows lag behind the log, and gives the names that it has deleted', async () => {
    const names = Array.from({ length: 1_200 }, (_, index) => `covers/${index}.png`);
    const { options, left, asked } = keeping(Object.fromEntries(names.map((name) => [name, 2 * HOUR])));
    const named: SweepOptions['named'] = async (some) => (asked.length < 2 ? options.named(some) : undefined);
    expect(await sweep({ ...options, named })).toHaveLength(1_000);
    expect(left()).toEqual(names.slice(1_000));
    expect(asked.map(({ length }) => length)).toEqual([500, 500]);
  });

  it('deletes nothing after an abort', async () => {
    const { options, left } = keeping({ 'covers/old.png': 2 * HOUR });
    expect(await sweep(options, AbortSignal.abort())).toEqual([]);
    expect(left()).toEqual(['covers/old.png']);
  });
});

describe('a sweep of what is old', () => {
  const DAYS = 24 * HOUR;
  const oldOf = ({ files, now }: SweepOptions, prefix = 'exports/') => ({ files, now, prefix, olderThanMs: 30 * DAYS });

  it('deletes files past their age, also those that a row names', async () => {
    const { options, left, asked } = keeping({
      'exports/old.json': 30 * DAYS + 1,
      'exports/young.json': 30 * DAYS,
      'reports/old.json': 40 * DAYS,
    }, ['exports/old.json']); // prettier-ignore
    expect(await sweepOld(oldOf(options))).toEqual(['exports/old.json']);
    expect([left(), asked]).toEqual([['exports/young.json', 'reports/old.json'], []]);
  });

  it('deletes half-written files after an hour', async () => {
    const { options, left } = keeping({ 'exports/a.json.0f.part': HOUR + 1, 'exports/b.json.0f.part': HOUR });
    expect(await sweepOld(oldOf(options))).toEqual(['exports/a.json.0f.part']);
    expect(left()).toEqual(['exports/b.json.0f.part']);
  });

  it('deletes more than one batch, and nothing after an abort', async () => {
    const names = Array.from({ length: 1_200 }, (_, index) => `exports/${index}.json`);
    const { options, left } = keeping(Object.fromEntries(names.map((name) => [name, 31 * DAYS])));
    expect(await sweepOld(oldOf(options), AbortSignal.abort())).toEqual([]);
    expect(await sweepOld(oldOf(options))).toEqual(names);
    expect(left()).toEqual([]);
  });
});

describe('sweeping every hour', () => {
  /** A clock that the test moves. */
  function hours() {
    const waited: number[] = [];
    let pass: () => void;
    const wait = (ms: number, signal: AbortSignal) => {
      waited.push(ms);
      const { promise, resolve } = Promise.withResolvers<undefined>();
      pass = () => resolve(undefined);
      if (signal.aborted) pass();
      signal.addEventListener('abort', pass, { once: true });
      return promise;
    };
    return { waited, wait, pass: () => pass() };
  }
  const settled = () => new Promise(setImmediate);

  it('begins after a part of the hour, reports the deleted files, and goes on after a failure', async () => {
    const { options, left, files } = keeping({ 'covers/old.png': 2 * HOUR });
    const { waited, wait, pass } = hours();
    const said: string[] = [];
    let broken = false;
    const named: SweepOptions['named'] = (names) =>
      broken ? Promise.reject(new Error('no rows')) : options.named(names);
    const sweeper = sweepHourly({ ...options, named }, (level, message) => said.push(`${level}: ${message}`), wait);
    expect(waited).toEqual([expect.any(Number)]);
    expect(waited[0]).toBeLessThan(HOUR);
    pass();
    await settled();
    expect([left(), waited[1]]).toEqual([[], HOUR]);
    [broken] = [true, files.set('covers/later.png', 2 * HOUR)];
    pass();
    await settled();
    broken = false;
    pass();
    await settled();
    const deleted = 'info: files that no row names were deleted: 1';
    expect(said).toEqual([deleted, 'warn: files could not be swept: no rows', deleted]);
    await sweeper.stop();
    expect(waited).toEqual([expect.any(Number), HOUR, HOUR, HOUR]);
  });

  it('also deletes expired files', async () => {
    const { options, left } = keeping({ 'exports/old.json': 3 * HOUR, 'exports/young.json': HOUR });
    const { wait, pass } = hours();
    const said: string[] = [];
    const { files, now } = options;
    const old = { files, now, prefix: 'exports/', olderThanMs: 2 * HOUR };
    const sweeper = sweepHourly(old, (level, message) => said.push(`${level}: ${message}`), wait);
    pass();
    await settled();
    expect([left(), said]).toEqual([['exports/young.json'], ['info: expired files under exports/ were deleted: 1']]);
    await sweeper.stop();
  });

  it('stops after the current batch', async () => {
    const { options, left } = keeping({ 'covers/old.png': 2 * HOUR });
    const { wait, pass } = hours();
    const answer = Promise.withResolvers<ReadonlySet<string>>();
    const sweeper = sweepHourly({ ...options, named: () => answer.promise }, () => undefined, wait);
    pass();
    await settled();
    const stopped = sweeper.stop();
    answer.resolve(new Set());
    await stopped;
    expect(left()).toEqual(['covers/old.png']);
  });
});
