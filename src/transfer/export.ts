import { isWinner, type Winner } from '../event-store/judged-log.ts';
import { partitionKey } from '../events/record.ts';
import { type FormatName, FORMATS } from './formats.ts';
import type { LogReading } from './log-reading.ts';
import { isSelected, type SelectedRange, type Selection, selectedTypes } from './selection.ts';

/** What an export holds. The same selection of the same log gives the same counts. */
export interface ExportCounts {
  readonly events: number;
  /** The earliest and the latest time of an event; null without events. */
  readonly firstTime: string | null;
  readonly lastTime: string | null;
  /** Events by type, sorted by name. */
  readonly types: Readonly<Record<string, number>>;
  /** In the order of the log. */
  readonly ranges: readonly (SelectedRange & { readonly events: number })[];
}

/** Called with the number of offsets that are done, of all that are selected. */
export type ReadProgress = (done: number, total: number) => void;

export interface EventExport {
  readonly chunks: AsyncIterable<string | Uint8Array>;
  /** To be called when the chunks have ended. */
  counts(): ExportCounts;
}

/** The selected events in a format. */
export function exportEvents(
  reading: LogReading,
  selection: Selection,
  format: FormatName,
  progress?: ReadProgress,
): EventExport {
  const counter = new Counter();
  async function* events(): AsyncGenerator<Winner[], void> {
    for await (const winners of selectedWinners(reading, selection, progress)) {
      winners.forEach((each) => counter.add(each));
      yield winners;
    }
  }
  return {
    chunks: FORMATS[format](events(), selectedTypes(selection)),
    counts: () => counter.counts(selection.ranges),
  };
}

/** The selected accepted records, one partition after the other, without those of genesis streams. */
export async function* selectedWinners(
  { partition, placement }: LogReading,
  selection: Selection,
  progress: ReadProgress = () => undefined,
): AsyncGenerator<Winner[], void> {
  const total = selection.ranges.reduce((sum, { from, to }) => sum + to - from, 0);
  let done = 0;
  for (const { from, to, ...where } of selection.ranges) {
    const genesis = placement.genesisOf(where);
    for await (const judged of partition({ ...where, offset: from }).until(to)) {
      const winners = judged.filter(isWinner).filter(({ envelope }) => envelope.stream !== genesis);
      yield winners.filter(({ envelope }) => isSelected(selection, envelope));
      progress((done += judged.length), total);
    }
  }
}

class Counter {
  readonly #partitions = new Map<string, number>();
  readonly #types = new Map<string, number>();
  #first: string | null = null;
  #last: string | null = null;

  add({ entry, envelope: { type, time } }: Winner): void {
    const key = partitionKey(entry);
    this.#partitions.set(key, (this.#partitions.get(key) ?? 0) + 1);
    this.#types.set(type, (this.#types.get(type) ?? 0) + 1);
    if (this.#first === null || time < this.#first) this.#first = time;
    if (this.#last === null || time > this.#last) this.#last = time;
  }

  counts(ranges: readonly SelectedRange[]): ExportCounts {
    const types = [...this.#types].toSorted(([one], [other]) => (one < other ? -1 : 1));
    return {
      events: types.reduce((sum, [, count]) => sum + count, 0),
      firstTime: this.#first,
      lastTime: this.#last,
      types: Object.fromEntries(types),
      ranges: ranges.map((range) => ({ ...range, events: this.#partitions.get(partitionKey(range)) ?? 0 })),
    };
  }
}
