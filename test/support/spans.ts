import { expect } from '@jest/globals';
import type { Attempt, History } from './history/index.ts';

/** The answers in a span of time. */
export interface Span {
  readonly reads: readonly Attempt[];
  readonly writes: readonly Attempt[];
  /** Requests without an answer that shows their outcome, reads and writes. */
  readonly unanswered: readonly Attempt[];
}

export function spanOf({ operations }: History, isWithin: (attempt: Attempt) => boolean = () => true): Span {
  const of = (isWrite: boolean) =>
    operations
      .filter(({ request }) => (request.effect !== undefined) === isWrite)
      .flatMap(({ attempts }) => attempts.filter(isWithin));
  const [reads, writes] = [of(false), of(true)];
  return { reads, writes, unanswered: [...reads, ...writes].filter(({ outcome }) => outcome.kind === 'unknown') };
}

/** Reads that showed something: they had to show acknowledged writes. */
export const answeredIn = ({ reads }: Span): Attempt[] => reads.filter(({ outcome }) => outcome.kind === 'ok');

/** Reads that were answered from the cache, as their header says, by one process or any. */
export const hitsIn = ({ reads }: Span, at?: string): Attempt[] =>
  reads.filter(({ url, outcome }) => outcome.kind === 'ok' && outcome.source === 'cache' && (at ?? url) === url);

/** A read waits this long for a Redis that does not answer, once; a write until no process uses the cache any more. */
const [READ_BUDGET_MS, WRITE_BUDGET_MS] = [300, 2_000];
/** The delay that a machine with few cores adds to anything. */
const NOISE_MS = 1_000;
const SETTLED_AFTER_MS = 2_000;

/** A reading client loses 300 ms once; a writing client is delayed by two seconds once. */
export function expectBudgets(before: Span, during: Span): void {
  const began = Math.min(...during.reads.map(({ start }) => start));
  const later = during.reads.filter(({ start }) => start > began + SETTLED_AFTER_MS);
  expect(during.unanswered).toEqual([]);
  expect(worst(during.reads)).toBeLessThan(worst(before.reads) + READ_BUDGET_MS + NOISE_MS);
  expect(later.length).toBeGreaterThan(0);
  expect(quantile(later, 0.9)).toBeLessThan(quantile(before.reads, 0.9) + READ_BUDGET_MS / 2);
  expect(worst(during.writes)).toBeLessThan(worst(before.writes) + WRITE_BUDGET_MS + NOISE_MS);
}

const took = (attempts: readonly Attempt[]) =>
  attempts.map(({ start, end }) => end - start).sort((one, other) => one - other);

const quantile = (attempts: readonly Attempt[], part: number): number =>
  took(attempts)[Math.floor(part * attempts.length)] ?? 0;

const worst = (attempts: readonly Attempt[]): number => took(attempts).at(-1) ?? 0;

/** Prints how many reads had to show acknowledged writes, and how long answers took. */
export function printSpans(name: string, { whole, ...parts }: Readonly<Record<string, Span>> & { whole: Span }): void {
  const read = answeredIn(whole);
  const lines = Object.entries(parts).map(([part, { reads, writes }]) => `${part}: ${summaryOf(reads, writes)}`);
  const count = `${read.length} reads after acknowledged writes, ${hitsIn(whole).length} of them say: from the cache`;
  process.stdout.write(`${name}\n  ${[count, ...lines].join('\n  ')}\n`);
}

function summaryOf(reads: readonly Attempt[], writes: readonly Attempt[]): string {
  const [r, w] = [reads, writes].map((each) =>
    [quantile(each, 0.5), quantile(each, 0.99), worst(each)].map((ms) => Math.round(ms)).join('/'),
  );
  return `${reads.length} reads in ${r} ms (median, 99th, longest), ${writes.length} writes in ${w} ms`;
}
