import { publishedObject } from '../transfer/cloud-event.ts';
import type { Winner } from '../event-store/judged-log.ts';
import { eventLines } from './event-lines.ts';
import { type ListOptions, printList } from './print.ts';
import { withLogReading } from './with-log-reading.ts';

/** Prints the accepted events of a stream in order. Exit code 1 when there are none. */
export function logShow(stream: string, options: ListOptions): Promise<number> {
  return withLogReading(async ({ reading }) => {
    const events: Winner[] = [];
    for await (const winners of reading.stream(stream)) events.push(...winners);
    const none = `There is no stream ${stream}.`;
    if (options.json) printList(events.map(publishedObject), options, { line: String });
    else printList(events, options, { line: eventLines, none });
    return events.length > 0 ? 0 : 1;
  });
}
