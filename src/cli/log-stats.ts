import { typeOf } from '../events/codec.ts';
import { isWinner, type JudgedEntry } from '../event-store/judged-log.ts';
import { isBlank } from '../log/entry.ts';
import { cut } from './event-lines.ts';
import { type ListOptions, printList, shown } from './print.ts';
import { showProgress } from './progress.ts';
import { withLogReading } from './with-log-reading.ts';

/** The records of one type in one topic. */
interface TypeStats {
  readonly topic: string;
  /** Full name; `-` for what is no record of ours. */
  readonly type: string;
  accepted: number;
  lost: number;
  /** Bytes of keys, headers and values. */
  bytes: number;
  /** Streams that begin with this type. */
  streams: number;
  /** Earliest and latest time of an accepted event. */
  first: string | null;
  last: string | null;
}

/** Prints what the log holds, by topic and type. */
export function logStats(options: ListOptions): Promise<number> {
  return withLogReading(async ({ reading, ends, print }) => {
    const total = ends.reduce((sum, { offset }) => sum + offset, 0);
    const progress = showProgress('read');
    const stats = new Map<string, TypeStats>();
    let done = 0;
    for (const { offset: end, ...where } of ends) {
      for await (const judged of reading.partition({ ...where, offset: 0 }).until(end)) {
        judged.forEach((each) => count(stats, each));
        progress((done += judged.length), total);
      }
    }
    const rows = [...stats.values()].toSorted((one, other) => (keyOf(one) < keyOf(other) ? -1 : 1));
    if (options.json) printList(rows, options, { line: String });
    else for (const [topic, of] of Map.groupBy(rows, (row) => row.topic)) tableOf(topic, of).forEach(print);
    return 0;
  });
}

const keyOf = ({ topic, type }: Pick<TypeStats, 'topic' | 'type'>): string => `${topic} ${type}`;

function count(stats: Map<string, TypeStats>, judged: JudgedEntry): void {
  const { entry } = judged;
  const type = (isBlank(entry) ? undefined : entry.headers.ce_type) ?? '-';
  const key = keyOf({ topic: entry.topic, type });
  const row = stats.get(key) ?? { topic: entry.topic, type, accepted: 0, lost: 0, bytes: 0, streams: 0, first: null, last: null }; // prettier-ignore
  stats.set(key, row);
  if (!isBlank(entry)) row.bytes += sizeOf(entry);
  if (!isWinner(judged)) row.lost++;
  else {
    const { time, version } = judged.envelope;
    row.accepted++;
    if (version === 1) row.streams++;
    if (row.first === null || time < row.first) row.first = time;
    if (row.last === null || time > row.last) row.last = time;
  }
}

function sizeOf({ key, headers, value }: { key: string; headers: Readonly<Record<string, string>>; value: Buffer }) {
  const text = Object.entries(headers).reduce((sum, [name, text]) => sum + name.length + Buffer.byteLength(text), 0);
  return Buffer.byteLength(key) + text + value.length;
}

const HEAD = ['type', 'accepted', 'lost', 'kB', 'streams', 'first', 'last'];
const WIDTHS = [-24, 9, 7, 9, 9, 17, 17];

function tableOf(topic: string, rows: readonly TypeStats[]): string[] {
  const sum = (of: (row: TypeStats) => number) => rows.reduce((all, row) => all + of(row), 0);
  const times = rows.flatMap(({ first, last }) => (first !== null && last !== null ? [first, last] : [])).toSorted();
  const whole = { topic, type: 'openmusic.all', accepted: sum((row) => row.accepted), lost: sum((row) => row.lost), bytes: sum((row) => row.bytes), streams: sum((row) => row.streams), first: times[0] ?? null, last: times.at(-1) ?? null }; // prettier-ignore
  return [topic, ...[HEAD, ...[...rows, whole].map(cellsOf)].map(lineOf), ''];
}

function cellsOf({ type, accepted, lost, bytes, streams, first, last }: TypeStats): string[] {
  const kilobytes = Math.ceil(bytes / 1_000);
  const numbers = [accepted, lost, kilobytes, streams].map((number) => String(number));
  return [type === '-' ? 'not ours' : shown(typeOf(type)), ...numbers, minuteOf(first), minuteOf(last)];
}

const minuteOf = (time: string | null): string => time?.slice(0, 16).replace('T', ' ') ?? '-';

const lineOf = (cells: readonly string[]): string =>
  cut(`  ${cells.map((cell, at) => padded(cell, WIDTHS[at] ?? 0)).join('')}`);

const padded = (cell: string, width: number): string => (width < 0 ? cell.padEnd(-width) : cell.padStart(width));
