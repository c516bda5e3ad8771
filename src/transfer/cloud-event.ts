import type { Winner } from '../event-store/judged-log.ts';
import { publishedEvent } from '../event-store/published-event.ts';

/**
 * The JSON of an accepted event, as the published topics and `GET /events` give it. But an event of a stream that is quarantined has its
 * data if it can be decoded: what the log says must not depend on the read models.
 */
export function publishedText({ entry, envelope: { stream, version } }: Winner): string {
  return publishedEvent({ ...entry, stream, version, quarantined: null });
}

/** The same for a list in JSON. */
export const publishedObject = (winner: Winner): object => JSON.parse(publishedText(winner)) as object;
