import { cloudEventOf } from '../transfer/cloud-event.ts';
import { acceptedEvent, type AcceptedEvent } from '../transfer/log-reading.ts';
import { eventLines } from './event-lines.ts';
import { type ListOptions, printList } from './print.ts';
import { withLogReading } from './with-log-reading.ts';

/** Prints the accepted events of a stream in order. Exit code 1 when there are none. */
export function logShow(stream: string, options: ListOptions): Promise<number> {
  return withLogReading(async ({ reading }) => {
    const events: AcceptedEvent[] = [];
    for await (const winners of reading.stream(stream)) events.push(...winners.map(acceptedEvent));
    const none = `There is no stream ${stream}.`;
    if (options.json) printList(events.map(cloudEventOf), options, { line: String });
    else printList(events, options, { line: eventLines, none });
    return events.length > 0 ? 0 : 1;
  });
}
