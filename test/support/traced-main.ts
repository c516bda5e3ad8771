import { createRequire } from 'node:module';
import { KafkaJsInstrumentation } from '@opentelemetry/instrumentation-kafkajs';
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node';

/**
 * OpenMusic under OpenTelemetry, whose instrumentation of kafkajs adds the header `traceparent` to every record that is sent, after
 * the record's checksum was made.
 */
new NodeTracerProvider().register();
new KafkaJsInstrumentation();
// It patches what is required. What is imported later has the same classes.
createRequire(import.meta.url)('kafkajs');

const { run } = await import('../../src/main.ts');
run({});
