import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { describeSettings } from '../../src/config.ts';
import { READ_VERSION } from '../../src/projections/projections.ts';

const root = path.join(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');

/** ADRs are left out, because they describe the time of their decision. */
const pages = globSync('docs/{how-to,reference,tutorial,explanation}/*.md', { cwd: root }).map(
  (file) => [file, read(file).replace(/\s+/g, ' ')] as const,
);

/** The matches of a pattern on all pages, each with its page. */
const found = (pattern: RegExp) =>
  pages.flatMap(([page, text]) => [...text.matchAll(pattern)].map(([match, ...groups]) => ({ page, match, groups })));

const KIB = 1_024;

/** The value of a constant in the source: a product, a power or a single number. */
function constant(file: string, name: string): number {
  const [, expression = ''] = new RegExp(`const ${name} = ([-\\d_. *]+);`).exec(read(file)) ?? [];
  const powers = expression.replaceAll('_', '').split(/ \* /);
  return powers
    .map((power) => power.split(' ** ').map(Number))
    .reduce((all, [base = NaN, to = 1]) => all * base ** to, 1);
}

/** A sentence of a page that names the value of a constant, in the unit that the page has. */
const SENTENCES: readonly (readonly [name: string, file: string, unit: number, pattern: RegExp])[] = [
  ['STUCK_MS', 'src/probes.ts', 1_000, /applied nothing for ([\d,]+) s while records wait/g],
  ['STUCK_MS', 'src/probes.ts', 1_000, /`openmusic_consumer_stuck_seconds\S+ \| more than ([\d,]+)/g],
  ['BATCH_RECORDS', 'src/log/kafka/record-batch.ts', 1, /more than ([\d,]+) records or 64 MiB/g],
  ['BATCH_BYTES', 'src/log/kafka/record-batch.ts', KIB * KIB, /100,000 records or ([\d,]+) MiB/g],
  ['APPEND_BYTES', 'src/log/settings.ts', 1, /has max\.message\.bytes=…, less than (\d+)/g],
  ['EVERY_MS', 'src/concurrency/throttle.ts', 1_000, /comes at most every ([\d,]+) seconds/g],
  ['CAPACITY', 'src/accounts/passwords.ts', 1, /TOO_MANY_LOGINS`: ([\d,]+) logins/g],
  ['MAX_OCCURRENCES', 'src/jobs/repeats.ts', 1, /a year, ([\d,]+) times/g],
  ['MAX_SESSIONS', 'src/accounts/sessions.ts', 1, /\| sessions \| ([\d,]+); one more/g],
  ['MAX_PIXELS', 'src/http/routes/albums/images.ts', 1_000_000, /more than ([\d,]+) million pixels/g],
  ['MAX_BYTES', 'src/http/routes/albums/covers.ts', 1, /or a cover than ([\d,]+) bytes/g],
  ['MAX_BYTES', 'src/http/routes/albums/covers.ts', 1, /file of at most ([\d,]+) bytes into memory/g],
  ['MAX_BYTES', 'src/http/routes/albums/covers.ts', 1, /PNG, JPEG, GIF, WebP or AVIF of at most ([\d,]+) bytes/g],
  ['MAX_HEADER_BYTES', 'src/http/node-server.ts', KIB, /together are longer than ([\d,]+) KiB/g],
  ['MAX_LINES', 'src/jobs/types/import-catalog.ts', 1, /at most 5 MiB and ([\d,]+) lines/g],
  ['MAX_BYTES', 'src/jobs/types/import-catalog.ts', KIB * KIB, /at most ([\d,]+) MiB and 100,000 lines/g],
  ['ANONYMOUS_KEY_LENGTH', 'src/http/origin.ts', 1, /must have at least ([\d,]+) characters/g],
  ['MAX_ATTEMPTS', 'src/http/routes/jobs/job-schemas.ts', 1, /`"attempts"`, 1 to ([\d,]+)/g],
  ['MAX_PRIORITY', 'src/http/routes/jobs/job-schemas.ts', 1, /`"priority"`, -100 to ([\d,]+)/g],
  ['OLD_CLIENT_MS', 'src/http/half-closed.ts', 1_000, /One of HTTP\/1\.0 is waited for ([\d,]+) s/g],
];

/** A sentence of a page that names the default of a setting, in the unit that the page has. */
const DEFAULTS: readonly (readonly [setting: string, unit: number, pattern: RegExp])[] = [
  ['BODY_DEPTH', 1, /nested deeper than ([\d,]+) levels/g],
  ['BODY_FIELDS', 1, /has more than ([\d,]+) fields/g],
  ['BODY_BYTES', KIB, /The body is larger than ([\d,]+) KiB/g],
  ['BATCH_BYTES', KIB * KIB, /import or message than ([\d,]+) MiB/g],
  ['BREAKER_OPEN_SECONDS', 1, /; every ([\d,]+) s one call tries/g],
  ['JOBS_UNFINISHED', 1, /\| ([\d,]+) \| `JOBS_UNFINISHED`/g],
  ['STORED_BYTES', KIB ** 3, /\| ([\d,]+) GiB \| `STORED_BYTES`/g],
  ['REPEATS', 1, /\| ([\d,]+), each every 15 minutes/g],
  ['REPEAT_SECONDS', 60, /each every ([\d,]+) minutes at most/g],
  ['RATE_JOBS', 1, /\| ([\d,]+)( a)? minute \| `RATE_JOBS`/g],
  ['RATE_MAILS', 1, /\| ([\d,]+) an hour; more wait/g],
  ['RATE_COVERS', 1, /changes ([\d,]+) covers an hour/g],
];

const numberIn = (text = '') => Number(text.replaceAll(',', ''));
/** The different numbers that the sentence has on all pages. */
const numbersOf = (pattern: RegExp) => [...new Set(found(pattern).map(({ groups }) => numberIn(groups[0])))];
const defaults = new Map(describeSettings().map(({ name, fallback = '' }) => [name, fallback]));

describe('the pages name', () => {
  it('generations of the version that the code reads', () => {
    const versions = found(/openmusic_read_(\d+)_/g);
    expect(versions.length).toBeGreaterThan(1);
    expect(versions.filter(({ groups }) => numberIn(groups[0]) !== READ_VERSION)).toEqual([]);
  });

  it('queues of the version that the code reads', () => {
    const versions = found(/openmusic_(?:exporter|worker|scheduler)_(\d+)/g).map(({ groups }) => numberIn(groups[0]));
    expect(new Set(versions)).toEqual(new Set([constant('src/jobs/queue-feed.ts', 'QUEUE_VERSION')]));
  });

  it('defaults behind the names of settings', () => {
    const named = found(/`([A-Z][A-Z_]+)` \((\d[\d,]*)\)/g);
    expect(named.length).toBeGreaterThan(1);
    expect(named.filter(({ groups: [name = '', value] }) => defaults.get(name) !== String(numberIn(value)))).toEqual(
      [],
    );
  });

  it.each(DEFAULTS)('the default of %s', (setting, unit, pattern) => {
    expect(numbersOf(pattern)).toEqual([parseInt(defaults.get(setting) ?? '', 10) / unit]);
  });

  it.each(SENTENCES)('the value of %s in %s', (name, file, unit, pattern) => {
    expect(numbersOf(pattern)).toEqual([constant(file, name) / unit]);
  });
});
