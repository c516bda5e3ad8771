import type { EventTopic } from '../../../events/placement.ts';
import { type CataloguedEvent, type EventSection, SECTIONS } from './event-catalog.ts';
import { jsonSchemaOf } from './json-schema.ts';
import { definitionOf } from './schema-fields.ts';

interface About {
  readonly version: string;
  readonly publicUrl: string;
  readonly namespace: string;
}

const DESCRIPTION = `The events of OpenMusic, in three forms.

- **The log**: every record that was appended, as Avro in the Confluent wire format. A reader judges which records are events:
  docs/reference/log-format.md has the rule. The schemas are served by the registry below \`/registry\`.
- **The published topics**: accepted events only, as structured CloudEvents JSON. They need no rule.
- **Over HTTP**, \`GET /events\`: the same events over HTTP, as NDJSON or server-sent events.`;

const EVENT_TOPICS = ['catalog', 'playlists', 'likes', 'jobs'] as const satisfies readonly EventTopic[];

/** The document at `/asyncapi.json`. */
export function asyncApiOf(events: readonly CataloguedEvent[], { version, publicUrl, namespace }: About): object {
  const { host, protocol, pathname } = new URL(publicUrl);
  const logs = [...EVENT_TOPICS, 'voids' as const];
  const channels: (readonly [name: string, channel: object])[] = [
    ...logs.map((topic) => [topic, logChannel(`${namespace}.${topic}`, eventsIn(events, topic))] as const),
    ...EVENT_TOPICS.map((topic) => [publishedName(topic), publishedChannel(namespace, topic)] as const),
    ['feed', feedChannel],
  ];
  return {
    asyncapi: '3.0.0',
    id: 'urn:openmusic',
    info: { title: 'OpenMusic events', version, description: DESCRIPTION, license: { name: 'MIT' } },
    defaultContentType: 'application/json',
    servers: { http: { host, pathname, protocol: protocol.slice(0, -1), description: 'The API.' } },
    channels: Object.fromEntries(channels),
    operations: Object.fromEntries(channels.map(([channel]) => [`send-${channel}`, sends(channel)])),
    components: {
      messages: { ...Object.fromEntries(events.map((event) => [event.type, logMessage(event)])), ...published(events) },
      schemas: {
        headers: HEADERS,
        ...Object.fromEntries(events.map(({ type, schema }) => [type, jsonSchemaOf(definitionOf(schema))])),
      },
    },
  };
}

const reference = (...path: readonly string[]) => ({ $ref: `#/${path.join('/')}` });

const sends = (channel: string) => ({ action: 'send', channel: reference('channels', channel) });

const publishedName = (topic: EventTopic) => `published-${topic}`;

/** The events of a topic; each event topic has those of genesis too. */
function eventsIn(events: readonly CataloguedEvent[], topic: EventSection['topic']): CataloguedEvent[] {
  const names: string[] = SECTIONS.filter((each) => each.topic === topic).map(({ name }) => name);
  return events.filter(({ section }) => names.includes(section) || (section === 'genesis' && topic !== 'voids'));
}

const logChannel = (address: string, events: readonly CataloguedEvent[]) => ({
  address,
  title: `Topic ${address}`,
  description: 'Records of the log. The key is the stream id.',
  messages: Object.fromEntries(events.map(({ type }) => [type, reference('components', 'messages', type)])),
  bindings: { kafka: { topic: address, bindingVersion: '0.5.0' } },
});

const publishedChannel = (namespace: string, topic: EventTopic) => ({
  address: `${namespace}.published.${topic}`,
  title: `Topic ${namespace}.published.${topic}`,
  description:
    'Accepted events, in the order of the log, under the same key and in the same partition. At least once: a reader that ignores a source offset that it has seen sees each event once.',
  messages: { [publishedName(topic)]: reference('components', 'messages', publishedName(topic)) },
  bindings: { kafka: { topic: `${namespace}.published.${topic}`, bindingVersion: '0.5.0' } },
});

const feedChannel = {
  address: '/events',
  title: 'Events over HTTP',
  description: 'Accepted events of all topics, for accounts with the role analytics or admin. It can be resumed.',
  servers: [reference('servers', 'http')],
  messages: Object.fromEntries(
    EVENT_TOPICS.map((topic) => [publishedName(topic), reference('components', 'messages', publishedName(topic))]),
  ),
};

const text = (description: string) => ({ type: 'string', description });

/** The headers of a record that its readers use. */
const HEADERS = {
  type: 'object',
  description: 'CloudEvents in binary mode. docs/reference/log-format.md has all of them.',
  required: ['ce_id', 'ce_type', 'ce_subject', 'ce_time', 'ce_streamversion', 'ce_prev', 'ce_checksum'],
  properties: {
    ce_id: text('id of this record'),
    ce_type: text('record name of the schema'),
    ce_subject: text('stream id, the same as the key'),
    ce_time: { ...text('when it was decided'), format: 'date-time' },
    ce_streamversion: text('the version that it claims in its stream, in decimal digits'),
    ce_prev: text('ce_id of the record that it was decided on; empty for version 1'),
    ce_checksum: text('checksums of value and headers'),
  },
};

const VOID_HEADERS = { type: 'object', properties: { ce_type: text('record name of the schema') } };

function logMessage({ type, section, schema, writer, readers, example }: CataloguedEvent): object {
  return {
    name: schema.subject,
    title: type,
    summary: definitionOf(schema).doc,
    description: `Written by: ${writer}. Read by: ${readers.join(', ')}. Times are milliseconds since 1970 in Avro.`,
    contentType: 'application/avro',
    headers: section === 'voids' ? VOID_HEADERS : reference('components', 'schemas', 'headers'),
    payload: reference('components', 'schemas', type),
    tags: [{ name: section }],
    examples: [{ name: type, payload: example }],
    bindings: {
      kafka: {
        key: { type: 'string' },
        schemaIdLocation: 'payload',
        schemaIdPayloadEncoding: 'confluent',
        schemaLookupStrategy: 'RecordNameStrategy',
        bindingVersion: '0.5.0',
      },
    },
    'x-schema-registry': { id: schema.id, path: `/registry/schemas/ids/${schema.id}` },
  };
}

/** A message for each published topic: an event in a CloudEvents envelope. */
const published = (events: readonly CataloguedEvent[]) =>
  Object.fromEntries(
    EVENT_TOPICS.map((topic) => {
      const own = eventsIn(events, topic).filter(({ section }) => section !== 'genesis');
      return [publishedName(topic), publishedMessage(topic, own)];
    }),
  );

const publishedMessage = (topic: EventTopic, events: readonly CataloguedEvent[]) => ({
  name: publishedName(topic),
  title: `Accepted event of ${topic}`,
  summary: 'An accepted event as structured CloudEvents JSON.',
  contentType: 'application/cloudevents+json',
  payload: {
    type: 'object',
    required: ['specversion', 'id', 'source', 'type', 'subject', 'time'],
    properties: {
      specversion: { const: '1.0' },
      id: text('id of the record on the log'),
      source: text('/openmusic'),
      type: { enum: events.map(({ schema }) => schema.subject) },
      subject: text('stream id'),
      time: { ...text('when it was decided'), format: 'date-time' },
      streamversion: { type: 'integer', minimum: 1, description: 'version of the stream' },
      sourcetopic: text('topic of the record on the log'),
      sourcepartition: { type: 'integer', minimum: 0, description: 'its partition' },
      sourceoffset: { type: 'integer', minimum: 0, description: 'its offset: ignore one that you have seen' },
      actor: text('account id, anonymous or system'),
      commandid: text('the command it follows from'),
      correlationid: text('the request that began it all'),
      causationid: text('command or record that led to it'),
      position: text('where to resume; in the feed alone'),
      datacontenttype: text('media type of data, or of the bytes'),
      data: { anyOf: events.map(({ type }) => reference('components', 'schemas', type)) },
      data_base64: text('in place of data, for a quarantined event: the value of the record'),
      quarantinereason: text('why it is quarantined'),
    },
  },
});
