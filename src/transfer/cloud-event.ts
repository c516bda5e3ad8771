import type { Winner } from '../event-store/judged-log.ts';
import { decoded } from './log-reading.ts';

/**
 * The JSON of an accepted event, as the published topics and `GET /events` give it: a structured CloudEvent 1.0. Extensions name the
 * event's place in the log and its version in the stream. An event that cannot be decoded has the bytes of the log as `data_base64`,
 * and the reason. A stream that is quarantined for another reason has its data: an export must not depend on the read models.
 */
export function publishedText(winner: Winner): string {
  const { headers, topic, partition, offset } = winner.entry;
  const { stream, version } = winner.envelope;
  return JSON.stringify({
    specversion: '1.0',
    id: headers.ce_id,
    source: headers.ce_source,
    type: headers.ce_type,
    subject: stream,
    time: headers.ce_time,
    streamversion: version,
    sourcetopic: topic,
    sourcepartition: partition,
    sourceoffset: offset,
    actor: headers.ce_actor,
    commandid: headers.ce_commandid,
    correlationid: headers.ce_correlationid,
    causationid: headers.ce_causationid,
    ...contentOf(winner),
  });
}

function contentOf(winner: Winner): object {
  const { payload } = decoded(winner);
  if ('event' in payload) {
    const { type: _, ...data } = payload.event;
    return { datacontenttype: 'application/json', data };
  }
  const { value } = winner.entry;
  return {
    quarantinereason: payload.poison,
    datacontenttype: 'application/avro',
    data_base64: value.toString('base64'),
  };
}

/** The same for a list in JSON. */
export const publishedObject = (winner: Winner): object => JSON.parse(publishedText(winner)) as object;
