import { fold } from '../text.ts';
import { publishedObject } from '../transfer/cloud-event.ts';
import { selectedWinners } from '../transfer/export.ts';
import type { Winner } from '../event-store/judged-log.ts';
import { decoded } from '../transfer/log-reading.ts';
import { type SelectionOptions, selectionOf } from '../transfer/selection.ts';
import { eventLines } from './event-lines.ts';
import { type ListOptions, printList } from './print.ts';
import { showProgress } from './progress.ts';
import { withLogReading } from './with-log-reading.ts';

export interface SearchOptions extends SelectionOptions, ListOptions {
  readonly actor?: string;
  /** In the payload, without regard to case. */
  readonly text?: string;
  /** The newest so many are shown. */
  readonly limit: number;
}

/** Prints the accepted events that fulfil all conditions, sorted by time. */
export function logSearch(options: SearchOptions): Promise<number> {
  return withLogReading(async ({ reading, ends }) => {
    const selection = selectionOf(options, ends);
    const found = new Newest(options.limit);
    for await (const winners of selectedWinners(reading, selection, showProgress('searched'))) {
      const byActor = winners.filter(({ envelope }) => [undefined, envelope.actor].includes(options.actor));
      for (const event of byActor) if (hasText(event, options.text)) found.add(event);
    }
    const events = found.sorted();
    if (options.json) printList(events.map(publishedObject), options, { line: String });
    else printList(events, options, { line: eventLines, none: 'No event was found.' });
    if (found.count > events.length)
      process.stderr.write(`${found.count} events were found; these are the newest ${events.length} (--limit).\n`);
    return 0;
  });
}

function hasText(winner: Winner, text: string | undefined): boolean {
  if (text === undefined) return true;
  const { payload } = decoded(winner);
  return 'event' in payload && fold(JSON.stringify(payload.event)).includes(fold(JSON.stringify(text).slice(1, -1)));
}

/** Keeps the newest events by time; where times are equal, by position. */
class Newest {
  readonly #limit: number;
  #events: Winner[] = [];
  count = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(event: Winner): void {
    this.count++;
    this.#events.push(event);
    if (this.#events.length > 2 * this.#limit + 1_000) this.#events = this.sorted();
  }

  sorted(): Winner[] {
    return this.#events.toSorted(byTime).slice(-this.#limit);
  }
}

/** Orders events of several partitions for people. */
export function byTime(one: Winner, other: Winner): number {
  const [first, second] = [one, other].map(({ entry, envelope }) => [envelope.time, entry.topic, entry.partition]);
  const difference = String(first).localeCompare(String(second), 'en');
  return difference === 0 ? one.entry.offset - other.entry.offset : difference;
}
