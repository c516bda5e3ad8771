import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { format, type Options, resolveConfig } from 'prettier';
import type { Comparison, Measured } from './figure.ts';
import { figures } from './figures.ts';
import { linesOf } from './report.ts';

const docs = fileURLToPath(new URL('../docs/reference/', import.meta.url));

/** Puts new measurements into benchmarks.json, in place of older ones of the same figures, and makes benchmarks.md of it all. */
export async function writeDocument(results: readonly Measured[], directory = docs): Promise<void> {
  const data = path.join(directory, 'benchmarks.json');
  const text = path.join(directory, 'benchmarks.md');
  const before = existsSync(data) ? (JSON.parse(await readFile(data, 'utf8')) as Measured[]) : [];
  const all = figures.flatMap(({ name }) => [...results, ...before].find((each) => each.figure === name) ?? []);
  const style = await resolveConfig(text);
  await writeFile(data, await format(JSON.stringify(all), { ...style, parser: 'json' } satisfies Options));
  await writeFile(text, await format(documentOf(all), { ...style, parser: 'markdown' } satisfies Options));
}

export const documentOf = (all: readonly Measured[]): string => [INTRODUCTION, ...all.map(chapterOf)].join('\n\n');

const INTRODUCTION = `<!-- Written by \`npm run bench -- --write\`. The words are in bench/, the numbers in benchmarks.json. -->

# Benchmarks

Measured by \`npm run bench\`, each figure beside a limit: the least that any program would have to do for it. A number alone says how
fast the machine was; what it is of its limit says how much our own part costs.

## How to read the tables

- Everything in a table took turns: ours, first limit, second limit, …, ours again, and so on. *Median* and *spread* (lowest to
  highest) are of all turns. *Ours ÷ limit* is computed in each round and is the median of these: what made a round slow made it
  slow for both.
- Rates compare as shares of the limit; more is better. Times compare as multiples of the limit's; less is better.
- *Asked* is the goal. A rate that was asked of a certain machine is converted to a share of what a bare Fastify server does on that
  machine, so that it can be checked on any.
- The load comes from a process of its own, on the same cores, for ours and for HTTP limits alike: what it takes is missing to
  both. How much that was is said below each table.
- Servers and their data are made for the run: PostgreSQL as it comes with the npm packages, with its default settings, and Kafka
  and Redis with the options of \`npm run stack\`.

\`npm run bench -- create-album memory\` measures some figures, \`--quick\` only tries whether all of it runs, \`--url http://…\` measures
a running server over HTTP, \`--only embedded\` one way to run, \`--json\` prints every value. \`npm run bench -- profile create-album\` shows where
the time goes.

## Generated logs

Big logs come from \`bench/generator\`: records that the real deciders, codec and envelope have made, each the winner of its version. Of
100, some 50 are a new song, 6 a new album, 13 a change of one, 3 the end of one; 16 put a song into a playlist or take it out, 6 are of
a playlist itself or of those who share it, 6 are a like or its end. The same seed gives the same log, byte by byte.
\`npm run bench -- generate --events 1000000\` fills the log that the environment names, as any process of OpenMusic would find it.`;

function chapterOf(measured: Measured): string {
  const figure = figures.find(({ name }) => name === measured.figure);
  const { machine, measuredAt, rounds, seconds, quick } = measured;
  const how = quick
    ? '**A smoke run: no number means anything.**'
    : `${rounds} rounds, ${seconds} s each where a load is timed.`;
  return [
    `## ${measured.figure}`,
    `${capital(figure?.about ?? '')}.`,
    figure?.method ?? '',
    `${how} ${measuredAt.slice(0, 10)}, ${machine}.`,
    ...measured.comparisons.map(tableOf),
  ].join('\n\n');
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

function tableOf(comparison: Comparison): string {
  const rows = linesOf(comparison).map((line) => `| ${Object.values(line).join(' | ')} |`);
  const head = `| | median | spread | ours ÷ limit | asked |\n| --- | --: | --: | --: | --- |`;
  const notes = comparison.notes.map((note) => `- ${note}`).join('\n');
  return [`### ${capital(comparison.title)}`, [head, ...rows].join('\n'), notes].join('\n\n');
}
