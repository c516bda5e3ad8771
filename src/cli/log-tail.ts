import { sleep } from '../concurrency/sleep.ts';
import { isWinner, type JudgedPartition, type Winner } from '../event-store/judged-log.ts';
import { partitionKey, type Position } from '../events/record.ts';
import { publishedText } from '../transfer/cloud-event.ts';
import type { LogReading } from '../transfer/log-reading.ts';
import { isSelected, selectionOf } from '../transfer/selection.ts';
import { eventLines } from './event-lines.ts';
import { byTime } from './log-search.ts';
import type { ListOptions } from './print.ts';
import { type ReadingContext, withLogReading } from './with-log-reading.ts';

export interface TailOptions extends ListOptions {
  /** Goes on with what is appended from now on, until Ctrl-C. */
  readonly follow?: boolean;
  /** Events to begin with. */
  readonly lines: number;
  readonly type?: readonly string[];
}

const LOOK_EVERY_MS = 300;

/** Prints the newest accepted events of all partitions by time, with `json` one JSON text in a line. */
export function logTail({ follow = false, lines, type, json = false }: TailOptions): Promise<number> {
  return withLogReading(
    async (context) => {
      const { reading, ends, print, signal } = context;
      const selection = selectionOf({ ...(type && { type }) }, ends);
      const show = (winner: Winner) => print(json ? publishedText(winner) : eventLines(winner));
      const isWanted = (winner: Winner) => !isGenesis(reading, winner) && isSelected(selection, winner.envelope);
      const newest: Winner[] = [];
      for (const end of ends) {
        if (signal.aborted) return 0;
        newest.push(...(await newestOf(reading, end, lines, isWanted)));
      }
      if (lines > 0) newest.toSorted(byTime).slice(-lines).forEach(show);
      if (follow) await showWhatFollows(context, isWanted, show);
      return 0;
    },
    { endsOnInterrupt: true },
  );
}

const isGenesis = ({ placement }: LogReading, { entry, envelope }: Winner): boolean =>
  envelope.stream === placement.genesisOf(entry);

/** The last wanted records of a partition. With an index it reads backwards, in steps that grow. */
async function newestOf(
  reading: LogReading,
  { offset: end, ...where }: Position,
  count: number,
  isWanted: (winner: Winner) => boolean,
): Promise<Winner[]> {
  for (let back = reading.isIndexed ? 4 * count : end; count > 0; back *= 8) {
    const from = Math.max(0, end - back);
    let found: Winner[] = [];
    for await (const judged of reading.partition({ ...where, offset: from }).until(end))
      found = [...found, ...judged.filter(isWinner).filter(isWanted)].slice(-count);
    if (found.length === count || from === 0) return found;
  }
  return [];
}

/** Prints what is appended after the ends, in the order of each partition. Ends when the signal fires. */
async function showWhatFollows(
  { reading, ends, signal }: ReadingContext,
  isWanted: (winner: Winner) => boolean,
  show: (winner: Winner) => void,
): Promise<void> {
  const partitions = new Map<string, JudgedPartition>(ends.map((end) => [partitionKey(end), reading.partition(end)]));
  while (!signal.aborted) {
    for (const end of await reading.log.ends(ends)) {
      for await (const judged of partitions.get(partitionKey(end))?.until(end.offset) ?? []) {
        judged.filter(isWinner).filter(isWanted).forEach(show);
      }
    }
    await sleep(LOOK_EVERY_MS, signal);
  }
}
