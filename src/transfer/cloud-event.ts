import type { AcceptedEvent } from './log-reading.ts';

/** An accepted event as structured CloudEvents JSON. */
export function cloudEventOf({ record, envelope, payload }: AcceptedEvent): object {
  const { id, type, stream, time, version, prev, commandId, actor, correlationId, causationId } = envelope;
  const { topic, partition, offset } = record;
  return {
    specversion: '1.0',
    id,
    source: '/openmusic',
    type,
    subject: stream,
    time,
    streamversion: version,
    prev,
    commandid: commandId,
    actor,
    correlationid: correlationId,
    causationid: causationId,
    sourcetopic: topic,
    sourcepartition: partition,
    sourceoffset: offset,
    datacontenttype: 'application/json',
    ...('event' in payload
      ? { data: payload.event }
      : { data_base64: record.value.toString('base64'), reason: payload.poison }),
  };
}
