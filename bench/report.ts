import type { Asked, Comparison, Series, Unit } from './figure.ts';
import { ratios, type Summary, summarise } from './statistics.ts';

/** One line of a report: our value, or one limit and the ratio of our value to it. */
export interface Line {
  readonly name: string;
  readonly value: string;
  readonly spread: string;
  readonly ratio: string;
  readonly asked: string;
}

export function linesOf(comparison: Comparison): Line[] {
  const { ours, limits, asked, unit } = comparison;
  const mine = summarise(ours.values);
  const floors = asked.filter(({ limit }) => limit === undefined);
  const first = {
    name: ours.name,
    ...shown(mine, unit),
    ratio: '',
    asked: judged(floors, mine, (value) => show(value, unit)),
  };
  return [first, ...limits.map((limit) => limitLine(limit, comparison))];
}

function limitLine(limit: Series, { ours, asked, unit }: Comparison): Line {
  const ratio = summarise(ratios(ours.values, limit.values));
  const as = unit === 'ms' ? times : percent;
  const { median, low, high } = ratio;
  return {
    name: limit.name,
    ...shown(summarise(limit.values), unit),
    ratio: `${as(median)} (${as(low)} – ${as(high)})`,
    asked: judged(
      asked.filter((each) => each.limit === limit.name),
      ratio,
      as,
    ),
  };
}

const shown = ({ median, low, high }: Summary, unit: Unit) => ({
  value: show(median, unit),
  spread: `${show(low, unit)} – ${show(high, unit)}`,
});

function judged(asked: readonly Asked[], { median }: Summary, as: (value: number) => string): string {
  return asked
    .map(({ atLeast, atMost, from }) => {
      const least = atLeast === undefined ? [] : [`≥ ${as(atLeast)}`];
      const most = atMost === undefined ? [] : [`≤ ${as(atMost)}`];
      const met = median >= (atLeast ?? -Infinity) && median <= (atMost ?? Infinity) ? 'met' : 'MISSED';
      return `${[...least, ...most].join(', ')}${from === undefined ? '' : ` (${from})`}: ${met}`;
    })
    .join('; ');
}

const percent = (ratio: number): string => `${(ratio * 100).toFixed(ratio < 0.1 ? 1 : 0)} %`;
const times = (ratio: number): string => `${ratio.toPrecision(3)}×`;

function show(value: number, unit: Unit): string {
  switch (unit) {
    case '/s':
      return `${Math.round(value).toLocaleString('en')}/s`;
    case 'MB':
      return `${Math.round(value)} MB`;
    default:
      return `${Number(value.toPrecision(3))} ${unit}`;
  }
}

export function asText(comparison: Comparison): string {
  const lines = linesOf(comparison).map((line) => Object.values(line) as string[]);
  const rows = [['', 'median', 'spread', 'ours ÷ limit', 'asked'], ...lines];
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const table = rows.map((row) =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd(),
  );
  return [comparison.title, ...table, ...comparison.notes.map((note) => `  ${note}`)].join('\n');
}
