import { createRequire } from 'node:module';
import { KafkaJsInstrumentation } from '@opentelemetry/instrumentation-kafkajs';
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node';

/**
 * OpenMusic under OpenTelemetry, whose instrumentation of kafkajs adds the header `traceparent` to every record that is
 * sent, after the record's checksum was computed.
 */
new NodeTracerProvider().register();
new KafkaJsInstrumentation();
// It patches modules that are required. Later imports have the same classes.
createRequire(import.meta.url)('kafkajs');

const { run } = await import('../../src/main.ts');
run({});
