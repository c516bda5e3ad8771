import { expect, it } from '@jest/globals';
import { durabilityOf, flushSettings } from './durability.ts';

const flushed = { replicas: 1, settings: { 'flush.messages': '1', 'min.insync.replicas': '1' } };
const replicated = { replicas: 3, settings: { 'min.insync.replicas': '2' } };
const cached = { replicas: 1, settings: { 'flush.messages': '9223372036854775807' } };
/** A topic as Redpanda describes it, without the settings `flush.messages` and `min.insync.replicas`. */
const onRedpanda = (caching: string) => ({ replicas: 3, settings: { 'write.caching': caching } });

it.each([
  ['every topic is replicated', [replicated, replicated], true],
  ['every topic is flushed', [flushed, flushed], true],
  ['one topic is neither', [flushed, { replicas: 1, settings: {} }], false],
  [
    'one in-sync replica is enough for an acknowledgement',
    [{ replicas: 3, settings: { 'min.insync.replicas': '1' } }],
    false,
  ],
  [
    'replicas are wanted in sync that are not there',
    [{ replicas: 1, settings: { 'min.insync.replicas': '2' } }],
    false,
  ],
  ['a topic does not exist', [replicated, { replicas: 0, settings: {} }], false],
  ['there is no topic', [], false],
  ['write caching is off', [onRedpanda('false'), onRedpanda('disabled')], true],
  ['write caching is on', [onRedpanda('false'), onRedpanda('true')], false],
  ['nothing is known', [{ replicas: 3, settings: { 'cleanup.policy': 'delete' } }], false],
  ['write caching is something new', [onRedpanda('sometimes')], false],
])('%s', (_, topics, durable) => {
  expect(durabilityOf(topics).durable).toBe(durable);
});

it.each([
  [[cached], 'page cache'],
  [[onRedpanda('true')], 'write.caching is on'],
  [[flushed, { replicas: 1, settings: {} }], 'do not say'],
  [[onRedpanda('sometimes')], 'do not say'],
])('says why it is not durable: %j', (topics, why) => {
  expect(durabilityOf(topics).why).toContain(why);
});

it.each([
  ['redpanda.0e4a6c41-6a1d-4f5c-8d7c-6c1a4a3d8e0b', true, { 'write.caching': 'false' }],
  ['redpanda.initializing', false, { 'write.caching': 'false' }],
  ['5L6g3nShT-eMCtK--X86sw', true, { 'flush.messages': '1' }],
  ['5L6g3nShT-eMCtK--X86sw', false, {}],
  [null, true, { 'flush.messages': '1' }],
])('a new topic of the cluster %s, KAFKA_FLUSH %s', (clusterId, flush, settings) => {
  expect(flushSettings(clusterId, flush)).toEqual(settings);
});
