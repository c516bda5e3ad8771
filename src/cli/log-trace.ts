import { typeOf } from '../events/codec.ts';
import { showPosition } from '../events/record.ts';
import { publishedObject } from '../transfer/cloud-event.ts';
import type { Winner } from '../event-store/judged-log.ts';
import { type Caused, causationTree, tracedRecords } from '../transfer/trace.ts';
import { cut } from './event-lines.ts';
import { byTime } from './log-search.ts';
import { type ListOptions, printList, shown } from './print.ts';
import { showProgress } from './progress.ts';
import { withLogReading } from './with-log-reading.ts';

/** Prints what a request led to, as a tree. Exit code 1 when nothing has that correlation id. */
export function logTrace(correlation: string, options: ListOptions): Promise<number> {
  return withLogReading(async ({ reading, ends, print }) => {
    const found = await tracedRecords(reading, ends, correlation, showProgress('searched'));
    const events = found.toSorted(byTime);
    const trees = causationTree(events, ({ envelope }) => envelope);
    if (options.json)
      printList(
        trees.flatMap((tree) => parentsIn(tree)),
        options,
        { line: String },
      );
    else if (events.length === 0) print(`No event has the correlation id ${correlation}.`);
    else trees.flatMap((tree) => treeLines(tree)).forEach(print);
    return events.length > 0 ? 0 : 1;
  });
}

/** Each event with the id of the one that led to it; null for a beginning. */
function parentsIn({ event, children }: Caused<Winner>, parent: string | null = null): object[] {
  return [{ ...publishedObject(event), parent }, ...children.flatMap((child) => parentsIn(child, event.envelope.id))];
}

/** What continues each kind of branch in the lines below it. */
const BELOW = { '': '', '├─ ': '│  ', '└─ ': '   ' } as const;

/** A line for each event, under the one that led to it. */
function treeLines({ event, children }: Caused<Winner>, stem = '', branch: keyof typeof BELOW = ''): string[] {
  const below = stem + BELOW[branch];
  return [
    cut(`${stem}${branch}${lineOf(event)}`),
    ...children.flatMap((child, at) => treeLines(child, below, at === children.length - 1 ? '└─ ' : '├─ ')),
  ];
}

const lineOf = ({ entry, envelope: { time, type, stream, version } }: Winner): string =>
  `${time.slice(0, 19)}Z ${typeOf(type)} ${shown(stream)} v${version} ${showPosition(entry)}`;
