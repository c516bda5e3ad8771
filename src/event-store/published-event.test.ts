import { describe, expect, it } from '@jest/globals';
import { golden } from '../../test/support/golden.ts';
import { toRecord } from '../events/envelope.ts';
import type { AcceptedEvent } from './accepted-events.ts';
import { publishedEvent } from './published-event.ts';

const { record, schemas } = golden;

const accepted = (type: string, value: Buffer, quarantined: string | null = null): AcceptedEvent => {
  const { headers } = toRecord({ ...record.envelope, type }, value);
  const { stream, version } = record.envelope;
  return { topic: 'openmusic.catalog', partition: 3, offset: 2 ** 40, stream, version, headers, value, quarantined };
};

const parse = (text: string) => JSON.parse(text) as Record<string, unknown>;

const events = schemas.filter(({ subject }) => subject !== 'openmusic.PositionVoided');

describe('the JSON of a published event', () => {
  it.each(events)('holds the data of $subject version $version exactly', ({ subject, value, payload }) => {
    const json = parse(publishedEvent(accepted(subject, Buffer.from(value, 'hex'))));
    expect(json).toMatchObject({ type: subject, datacontenttype: 'application/json', data: payload });
    expect(json).not.toHaveProperty('data_base64');
  });

  it('holds the envelope, the place in the log and the version, and no header that serves only our own writers', () => {
    const { subject, value } = events.find((each) => each.subject === 'openmusic.AlbumCreated')!;
    const { data: _, ...envelope } = parse(publishedEvent(accepted(subject, Buffer.from(value, 'hex'))));
    expect(envelope).toEqual({
      specversion: '1.0',
      id: record.envelope.id,
      source: '/openmusic',
      type: 'openmusic.AlbumCreated',
      subject: record.envelope.stream,
      time: record.envelope.time,
      streamversion: 2,
      sourcetopic: 'openmusic.catalog',
      sourcepartition: 3,
      sourceoffset: 2 ** 40,
      actor: 'anonymous',
      commandid: record.envelope.commandId,
      correlationid: 'запрос 7',
      causationid: record.envelope.causationId,
      datacontenttype: 'application/json',
    });
  });

  it('holds the bytes and the reason of an event whose stream is quarantined', () => {
    const value = Buffer.from(events[1]!.value, 'hex');
    const json = parse(publishedEvent(accepted(events[1]!.subject, value, 'out of range')));
    expect(json).toMatchObject({ quarantinereason: 'out of range', data_base64: value.toString('base64') });
    expect(json).not.toHaveProperty('data');
  });

  it('holds the bytes and the reason of an event that cannot be decoded', () => {
    const json = parse(publishedEvent(accepted('openmusic.AlbumCreated', Buffer.from([0, 0, 0, 255, 255, 1]))));
    expect(json).toMatchObject({ quarantinereason: 'schema id 65535 is unknown', datacontenttype: 'application/avro' });
  });

  it('gives a position of the feed to those that ask for one', () => {
    const value = Buffer.from(events[1]!.value, 'hex');
    expect(parse(publishedEvent(accepted(events[1]!.subject, value), '1.2.3'))).toMatchObject({ position: '1.2.3' });
  });
});
