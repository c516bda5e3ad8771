import { readFileSync } from 'node:fs';
import { afterEach, expect, jest, test } from '@jest/globals';
import { backoffMs, refusalBounds, STRATEGIES } from '../jobs/backoff.ts';
import { configurationPage, envExample } from './config-docs.ts';

afterEach(() => void jest.restoreAllMocks());

const committed = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

// `npm run providers` writes both.
test.each([
  ['docs/reference/configuration.md', configurationPage],
  ['.env.example', envExample],
])('%s is made of the settings in src/config.ts and src/providers', (path, made) => {
  expect(made()).toBe(committed(path));
});

test('escapes a bar in a description', () => {
  expect(configurationPage([{ name: 'A', fallback: undefined, about: 'one | two' }])).toContain('one \\| two');
});

test('shows a setting without a default empty and commented out', () => {
  expect(envExample([{ name: 'A', fallback: undefined, about: 'what it is' }])).toContain('# what it is\n#A=\n');
});

/** Gives the cells of the table whose first heading begins with the text, without the head. */
function cellsUnder(head: string): string[][] {
  const lines = committed('docs/reference/configuration.md').split('\n');
  const begin = lines.findIndex((line) => line.startsWith(`| ${head} `)) + 2;
  const rows = lines.slice(begin, lines.indexOf('', begin));
  return rows.map((line) => line.split('|').slice(1, -1).map((cell) => cell.trim())); // prettier-ignore
}

/** Gives the page's text for a time between these. */
const spanOf = (times: readonly number[], unit: string) =>
  `${[...new Set(times.map((time) => String(Math.round(time * 10) / 10)))].join(' to ')} ${unit}`;

test('has the times of attempts that the backoff gives, jitter included', () => {
  const random = jest.spyOn(Math, 'random');
  const secondsOf = (strategy: (typeof STRATEGIES)[number], failed: number, part: number) => {
    random.mockReturnValue(part);
    const each = Array.from({ length: failed }, (_, index) =>
      backoffMs({ firstMs: 1_000, mostMs: 300_000, strategy }, index + 1),
    );
    return each.reduce((sum, ms) => sum + ms, 0) / 1_000;
  };
  expect(cellsUnder('attempt, after the first has failed')).toEqual(
    [1, 2, 3, 4].map((failed) => [
      String(failed + 1),
      ...STRATEGIES.map((strategy) => spanOf([0, 1].map((part) => secondsOf(strategy, failed, part)), 's')), // prettier-ignore
    ]),
  );
});

test('has the times of retries of a refused recipient, jitter included', () => {
  const rows = cellsUnder('refusal');
  const minutes = (refusals: number) => {
    const { leastMs, mostMs } = refusalBounds(refusals);
    return [leastMs / 60_000, mostMs / 60_000];
  };
  const since = [0, 0];
  for (let refusals = 1; refusals < rows.length; refusals++) {
    minutes(refusals).forEach((pause, end) => (since[end]! += pause));
    expect(rows[refusals - 1]).toEqual([String(refusals), spanOf(minutes(refusals), 'min'), spanOf(since, 'min')]);
  }
  expect(rows.at(-1)).toEqual(['further ones', spanOf(minutes(20), 'min'), '']);
});
