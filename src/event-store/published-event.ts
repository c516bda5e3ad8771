import { reasonOf } from '../errors.ts';
import type { AcceptedEvent } from './accepted-events.ts';
import { eventOf } from './judge.ts';

/** Media type of `publishedEvent`. */
export const CLOUD_EVENT = 'application/cloudevents+json';

/**
 * The JSON of an accepted event, as the published topics and `GET /events` give it: a structured CloudEvent 1.0. Extensions name
 * the event's place in the log and its version in the stream. `position` is an extension of the feed. Events of a quarantined stream
 * and such that this code cannot decode have the bytes of the log as `data_base64`, and the reason.
 *
 * Integers are JSON numbers, exact up to 2^53; the codec refuses longer ones. Times are ISO 8601 texts. No event has a decimal.
 */
export function publishedEvent(event: AcceptedEvent, position?: string): string {
  const { headers } = event;
  return JSON.stringify({
    specversion: '1.0',
    id: headers.ce_id,
    source: headers.ce_source,
    type: headers.ce_type,
    subject: event.stream,
    time: headers.ce_time,
    streamversion: event.version,
    sourcetopic: event.topic,
    sourcepartition: event.partition,
    sourceoffset: event.offset,
    actor: headers.ce_actor,
    commandid: headers.ce_commandid,
    correlationid: headers.ce_correlationid,
    causationid: headers.ce_causationid,
    position,
    ...payloadOf(event),
  });
}

function payloadOf(event: AcceptedEvent): object {
  if (event.quarantined !== null) return bytesOf(event, event.quarantined);
  try {
    const { type, ...data } = eventOf({ ...event, key: event.stream }, event.headers.ce_type ?? '');
    return { datacontenttype: 'application/json', data };
  } catch (error) {
    return bytesOf(event, reasonOf(error));
  }
}

const bytesOf = ({ value }: AcceptedEvent, quarantinereason: string): object => ({
  quarantinereason,
  datacontenttype: 'application/avro',
  data_base64: value.toString('base64'),
});
