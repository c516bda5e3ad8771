import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { AppendError, EventLog } from '../../src/log/event-log.ts';
import { openKafkaLog } from '../../src/log/kafka.ts';
import { describeWithNativeKafka, namespace, startNativeKafka, type NativeKafka } from '../support/servers/index.ts';

/** The admin may do everything, the guest may only describe topics. */
const withLogin = {
  'listener.security.protocol.map': 'PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT',
  'sasl.enabled.mechanisms': 'PLAIN',
  'sasl.mechanism.inter.broker.protocol': 'PLAIN',
  'listener.name.plaintext.plain.sasl.jaas.config':
    'org.apache.kafka.common.security.plain.PlainLoginModule required ' +
    'username="admin" password="a-secret" user_admin="a-secret" user_guest="g-secret";',
  'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
  'super.users': 'User:ANONYMOUS;User:admin',
};

describeWithNativeKafka('the Kafka adapter, with a broker that requires a login', () => {
  let broker: NativeKafka;
  const logs: EventLog[] = [];

  beforeAll(async () => {
    broker = await startNativeKafka({ properties: withLogin });
  });
  afterAll(async () => {
    await Promise.all(logs.map((log) => log.close()));
    await broker.stop();
  });

  async function openAs(username: string, password: string): Promise<EventLog> {
    const sasl = { mechanism: 'plain', username, password } as const;
    const log = await openKafkaLog({ brokers: broker.brokers, clientId: 'login', sasl, logger: () => undefined });
    logs.push(log);
    return log;
  }

  it('logs in, and reports which appends are denied', async () => {
    const [admin, guest] = [await openAs('admin', 'a-secret'), await openAs('guest', 'g-secret')];
    const where = { topic: namespace(), partition: 0 };
    const append = { ...where, record: { key: 'k', value: Buffer.from('v'), headers: {} } };
    await admin.createTopics([{ topic: where.topic, partitions: 1, retentionMs: -1 }]);
    await admin.append([append]);
    const refused = (await guest.append([append]).catch((error: unknown) => error)) as AppendError;
    expect(refused).toMatchObject({ name: 'AppendError', outcome: 'refused' });
    expect(await guest.durability([where.topic])).toMatchObject({ durable: false });
    expect(await admin.ends([where])).toEqual([{ ...where, offset: 1 }]);
  });

  it('does not open with a wrong password', async () => {
    await expect(openAs('admin', 'wrong')).rejects.toThrow(
      `Kafka at ${broker.brokers.join(', ')} refused the login of user admin. Check KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD.`,
    );
  });
});
