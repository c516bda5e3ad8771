import { expect, it } from '@jest/globals';
import { whyUnreachable } from './unreachable.ts';

const kafka = { service: 'Kafka', address: 'kafka:6379', where: 'KAFKA_BROKERS', tls: 'KAFKA_SSL' };

it('names the service also where kafkajs only knows that the other end does not speak Kafka', () => {
  const error = new Error('Broker not connected');
  expect(whyUnreachable(error, kafka)).toBe(
    'Kafka at kafka:6379 broke the connection off. Check KAFKA_BROKERS, and KAFKA_SSL.',
  );
});

it('says nothing of an error that means something else', () => {
  expect(whyUnreachable(new Error('syntax error'), kafka)).toBeUndefined();
});
