import { whyUnreachable } from '../../unreachable.ts';
import type { ClientOptions } from './client.ts';
import { failureOf } from './failure.ts';

/** The error of a first connection in one line that says what to check; any other error as it is. */
export function explainKafka(error: unknown, { brokers, sasl }: Pick<ClientOptions, 'brokers' | 'sasl'>): unknown {
  const address = brokers.join(', ');
  const line =
    failureOf(error).name === 'KafkaJSSASLAuthenticationError'
      ? `Kafka at ${address} refused the login of user ${sasl?.username ?? ''}. Check KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD.`
      : whyUnreachable(error, { service: 'Kafka', address, where: 'KAFKA_BROKERS', tls: 'KAFKA_SSL' });
  return line === undefined ? error : new Error(line, { cause: error });
}
