import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { timeOf } from '../../bench/served-generation.ts';
import { documentOf, writeDocument } from '../../bench/document.ts';
import type { Comparison } from '../../bench/figure.ts';
import { startChild } from '../../bench/processes.ts';
import { asText, linesOf } from '../../bench/report.ts';
import { ratios, summarise } from '../../bench/statistics.ts';
import { takeTurns } from '../../bench/turns.ts';
import { describeWithNativeKafka, describeWithNativeRedis } from '../support/servers/index.ts';

const plan = { rounds: 3, seconds: 1, warmUpSeconds: 0, quick: true, say: () => undefined };

describe('the statistics of runs', () => {
  it('are the median and the extremes', () => {
    expect(summarise([3, 1, 2])).toEqual({ median: 2, low: 1, high: 3 });
    expect(summarise([4, 1, 2, 3])).toEqual({ median: 2.5, low: 1, high: 4 });
    expect(() => summarise([])).toThrow('nothing');
  });

  it('compare run by run, so that a slow round does not count', () => {
    expect(ratios([100, 10, 50], [200, 20, 100])).toEqual([0.5, 0.5, 0.5]);
    expect(() => ratios([1], [1, 2])).toThrow('cannot be compared');
  });

  it('measure the time of a record to the midpoint of two polls', () => {
    const points = [0, 100, 200].map((applied) => ({ ms: 1_000 + applied * 2, applied }));
    expect([50, 100, 125].map((applied) => timeOf(points, applied))).toEqual([1_100, 1_200, 1_250]);
    expect(() => timeOf(points, 201)).toThrow('never applied');
  });
});

describe('turns', () => {
  it('alternate', async () => {
    const order: string[] = [];
    const contestant = (name: string) => ({ name, run: () => Promise.resolve({ at: order.push(name) }) });
    const outcomes = await takeTurns([contestant('a'), contestant('b')], plan);
    expect(order.join('')).toBe('ababab');
    expect(outcomes.map(({ samples }) => samples)).toEqual([
      [{ at: 1 }, { at: 3 }, { at: 5 }],
      [{ at: 2 }, { at: 4 }, { at: 6 }],
    ]);
  });
});

describe('a report', () => {
  const comparison: Comparison = {
    title: 'in some way',
    unit: '/s',
    notes: ['seen beside'],
    ours: { name: 'ours', values: [1_800, 2_000, 2_200] },
    limits: [{ name: 'bare', values: [9_000, 10_000, 10_000] }],
    asked: [{ limit: 'bare', atLeast: 0.25, from: 'far away' }, { atMost: 5_000 }],
  };

  it('shows our share of each limit, and whether the target is met', () => {
    expect(linesOf(comparison)).toEqual([
      { name: 'ours', value: '2,000/s', spread: '1,800/s – 2,200/s', ratio: '', asked: '≤ 5,000/s: met' },
      {
        name: 'bare',
        value: '10,000/s',
        spread: '9,000/s – 10,000/s',
        ratio: '20 % (20 % – 22 %)',
        asked: '≥ 25 % (far away): MISSED',
      },
    ]);
  });

  it('shows times as multiples of the limit', () => {
    const times: Comparison = { ...comparison, unit: 'ms', asked: [] };
    expect(linesOf(times).map(({ ratio }) => ratio)).toEqual(['', '0.200× (0.200× – 0.220×)']);
  });

  it('is written to the document with all parameters of the measurement', () => {
    const measured = { figure: 'create-album', machine: '2 cores', measuredAt: '2026-01-01T00:00:00.000Z' };
    const text = documentOf([{ ...measured, rounds: 3, seconds: 1, quick: false, comparisons: [comparison] }]);
    for (const part of ['## create-album', '2 cores', '### In some way', '| 20 % (20 % – 22 %) |', '- seen beside'])
      expect(text).toContain(part);
    expect(asText(comparison)).toContain('MISSED');
  });

  it('replaces an older one of the same figure, beside the others', async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'openmusic-bench-test-'));
    const about = { machine: 'a machine', measuredAt: '2026-01-01', rounds: 3, seconds: 1, quick: false };
    const measured = (figure: string, title: string) => ({ ...about, figure, comparisons: [{ ...comparison, title }] });
    await writeDocument([measured('create-album', 'older'), measured('memory', 'other')], directory);
    await writeDocument([measured('create-album', 'newer')], directory);
    const text = await readFile(path.join(directory, 'benchmarks.md'), 'utf8');
    await rm(directory, { recursive: true });
    expect(Array.from(text.matchAll(/^### .*/gm), ([heading]) => heading)).toEqual(['### Newer', '### Other']);
  });
});

const bench = async (...args: string[]) => {
  const child = startChild('bench/main.ts', { args });
  return { code: await child.ended, output: child.output() };
};

/** Runs a figure for the shortest time. `parts` must be in its report. */
async function tryOut(figure: string, shape: string, parts: readonly string[]): Promise<void> {
  const { code, output } = await bench(figure, '--quick', '--only', shape, '--seconds', '0.2');
  expect({ code, output }).toMatchObject({ code: 0 });
  for (const part of parts) expect(output).toContain(part);
  expect(output).not.toContain('FAILED');
}

describe('npm run bench', () => {
  it.each([
    ['create-album', ['cores (', 'embedded, 64 connections', 'bare Fastify POST', '≥ 19 %']],
    ['playlist-songs', ['embedded, acknowledged', 'append without arbitration', '≥ 17 %', 'embedded, p99', '≤ 40 ms']],
    ['playlist-versions', ['embedded, any version, p99', 'GET /playlists/{id}/songs', '≤ 100 ms']],
    ['list-songs', ['embedded, 50 connections', 'POST /albums', '≥ 69 %', 'embedded, 50 connections, p99', '≤ 0.952×']],
    ['events-feed', ['embedded, events', 'bare route that streams a SELECT', '≥ 70 %']],
    ['search-songs', ['2,000 songs, by title and performer, in Postgres', '4,000 songs, by title alone', '≤ 5 ms']],
  ])(
    'measures %s beside its limits on its own servers, without failures',
    (figure, parts) => tryOut(figure, 'embedded', parts),
    120_000,
  );

  it('lists the figures when it is given an unknown one', async () => {
    const { code, output } = await bench('nothing');
    expect(code).toBe(1);
    expect(output).toContain('create-album, publisher, playlist-songs');
  });
});

describeWithNativeKafka('npm run bench in the distributed shape', () => {
  describeWithNativeRedis('with its cache', () => {
    it.each([
      ['cached-reads', ['GET /playlists/{id}/songs, 50 songs, p99', 'GET /albums/{id}/likes', '≥ 45 %', '≤ 2.00×']],
      ['marks', ['songs added to playlists, acknowledged', 'likes of albums', 'ours, cache off', '≥ 90 %']],
    ])('measures %s, without failures', (figure, parts) => tryOut(figure, 'distributed without', parts), 240_000);
  });
});
