import { expect, it } from '@jest/globals';
import { whyUnreachable } from './unreachable.ts';

const kafka = { service: 'Kafka', address: 'kafka:6379', where: 'KAFKA_BROKERS', tls: 'KAFKA_SSL' };

it('names the service when kafkajs only reports that the other end does not speak Kafka', () => {
  const error = new Error('Broker not connected');
  expect(whyUnreachable(error, kafka)).toBe(
    'Kafka at kafka:6379 closed the connection. Check KAFKA_BROKERS, and KAFKA_SSL.',
  );
});

it('returns nothing for any other error', () => {
  expect(whyUnreachable(new Error('syntax error'), kafka)).toBeUndefined();
});
