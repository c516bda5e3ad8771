import { once } from 'node:events';
import { createRequire } from 'node:module';
import { type AddressInfo, createServer, type Socket } from 'node:net';

/** The stored settings of a topic in Redpanda, by their requested names. */
export interface AskedTopic {
  readonly partitions: number;
  readonly replicas: number;
  readonly settings: Readonly<Record<string, string>>;
}

/**
 * Creates topics and describes them over Kafka's protocol, following the source of Redpanda 26.1 (metadata.cc,
 * create_topics.cc, config_response_utils.cc): every setting is accepted, and only the known ones are described. It keeps
 * no records.
 */
export interface RedpandaStandIn {
  readonly brokers: string[];
  readonly topics: Map<string, AskedTopic>;
  close(): Promise<void>;
}

export type WriteCachingDefault = 'true' | 'false' | 'disabled';

export async function startRedpandaStandIn(byDefault: WriteCachingDefault): Promise<RedpandaStandIn> {
  const topics = new Map<string, AskedTopic>();
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    const { port } = server.address() as AddressInfo;
    answerAll(socket, { topics, port, byDefault });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    brokers: [`127.0.0.1:${(server.address() as AddressInfo).port}`],
    topics,
    async close() {
      for (const socket of sockets) socket.destroy();
      await once(server.close(), 'close');
    },
  };
}

interface State {
  readonly topics: Map<string, AskedTopic>;
  readonly port: number;
  readonly byDefault: WriteCachingDefault;
}

/** The parts of kafkajs's own encoder and decoder that are used here. */
interface Writer {
  readonly buffer: Buffer;
  writeInt8(value: number): Writer;
  writeInt16(value: number): Writer;
  writeInt32(value: number): Writer;
  writeInt64(value: number): Writer;
  writeBoolean(value: boolean): Writer;
  writeString(value: string | null): Writer;
  writeArray(values: readonly (Writer | number)[]): Writer;
  writeEncoder(value: Writer): Writer;
}
interface Reader {
  readInt8(): number;
  readInt16(): number;
  readInt32(): number;
  readInt64(): bigint;
  readString(): string;
  readArray<T>(read: (reader: Reader) => T): T[];
}

const load = createRequire(import.meta.url);
const Encoder = load('kafkajs/src/protocol/encoder') as new () => Writer;
const Decoder = load('kafkajs/src/protocol/decoder') as new (bytes: Buffer) => Reader;
const encoder = () => new Encoder();

function answerAll(socket: Socket, state: State): void {
  let received: Buffer = Buffer.alloc(0);
  socket.on('error', () => undefined);
  socket.on('data', (bytes) => {
    received = Buffer.concat([received, bytes]);
    while (received.length >= 4 && received.length >= 4 + received.readInt32BE(0)) {
      const end = 4 + received.readInt32BE(0);
      socket.write(answer(received.subarray(4, end), state));
      received = received.subarray(end);
    }
  });
}

function answer(bytes: Buffer, state: State): Buffer {
  const reader = new Decoder(bytes);
  const [api, version, correlation] = [reader.readInt16(), reader.readInt16(), reader.readInt32()];
  reader.readString(); // the client's id
  const spoken = apis[api];
  if (spoken?.version !== version) throw new Error(`api ${api} version ${version} is not spoken here`);
  const body = encoder().writeInt32(correlation).writeEncoder(spoken.answer(reader, state)).buffer;
  return Buffer.concat([encoder().writeInt32(body.length).buffer, body]);
}

/** By Kafka's number of each request: the version that kafkajs 2.2.4 and Redpanda have in common, and its answer. */
const apis: Record<number, { version: number; answer: (request: Reader, state: State) => Writer }> = {
  2: { version: 3, answer: listOffsets },
  3: { version: 6, answer: metadata },
  18: { version: 2, answer: versions },
  19: { version: 3, answer: createTopics },
  32: { version: 2, answer: describeConfigs },
};

function versions(): Writer {
  const spoken = Object.entries(apis).map(([api, { version }]) =>
    encoder().writeInt16(Number(api)).writeInt16(0).writeInt16(version),
  );
  return encoder().writeInt16(0).writeArray(spoken).writeInt32(0);
}

function metadata(_request: Reader, { topics, port }: State): Writer {
  const broker = encoder().writeInt32(1).writeString('127.0.0.1').writeInt32(port).writeString(null);
  const described = [...topics].map(([name, { partitions }]) =>
    encoder()
      .writeInt16(0)
      .writeString(name)
      .writeBoolean(false)
      .writeArray(Array.from({ length: partitions }, (_, partition) => partitionMetadata(partition))),
  );
  return encoder()
    .writeInt32(0)
    .writeArray([broker])
    .writeString('redpanda.0e4a6c41-6a1d-4f5c-8d7c-6c1a4a3d8e0b')
    .writeInt32(1)
    .writeArray(described);
}

const partitionMetadata = (partition: number): Writer =>
  encoder().writeInt16(0).writeInt32(partition).writeInt32(1).writeArray([1]).writeArray([1]).writeArray([]);

function createTopics(request: Reader, { topics }: State): Writer {
  const names = request.readArray((each) => {
    const [name, partitions, replicas] = [each.readString(), each.readInt32(), each.readInt16()];
    each.readArray(() => undefined); // no replica is assigned by hand
    const settings = Object.fromEntries(each.readArray((pair) => [pair.readString(), pair.readString()]));
    topics.set(name, { partitions, replicas, settings });
    return name;
  });
  const made = names.map((name) => encoder().writeString(name).writeInt16(0).writeString(null));
  return encoder().writeInt32(0).writeArray(made);
}

function describeConfigs(request: Reader, state: State): Writer {
  const resources = request.readArray((each) => {
    const [type, name] = [each.readInt8(), each.readString()];
    each.readArray((setting) => setting.readString());
    const entries = Object.entries(describedOf(state.topics.get(name), state.byDefault)).map(configEntry);
    return encoder().writeInt16(0).writeString(null).writeInt8(type).writeString(name).writeArray(entries);
  });
  return encoder().writeInt32(0).writeArray(resources);
}

const configEntry = ([name, value]: [string, string]): Writer =>
  encoder().writeString(name).writeString(value).writeBoolean(false).writeInt8(1).writeBoolean(false).writeArray([]);

/** `min.insync.replicas` and `flush.messages` are among those that are accepted, ignored and not described. */
function describedOf(topic: AskedTopic | undefined, byDefault: WriteCachingDefault): Record<string, string> {
  const given = topic?.settings ?? {};
  return {
    'cleanup.policy': given['cleanup.policy'] ?? 'delete',
    'retention.ms': given['retention.ms'] ?? '604800000',
    'retention.bytes': given['retention.bytes'] ?? '-1',
    'flush.ms': '100',
    'flush.bytes': '262144',
    'write.caching': byDefault === 'disabled' ? 'disabled' : (given['write.caching'] ?? byDefault),
    'redpanda.remote.write': 'false',
  };
}

function listOffsets(request: Reader): Writer {
  request.readInt32();
  request.readInt8();
  const topics = request.readArray((each) => {
    const name = each.readString();
    const partitions = each.readArray((one) => {
      const partition = one.readInt32();
      one.readInt64();
      return encoder().writeInt32(partition).writeInt16(0).writeInt64(-1).writeInt64(0);
    });
    return encoder().writeString(name).writeArray(partitions);
  });
  return encoder().writeInt32(0).writeArray(topics);
}
