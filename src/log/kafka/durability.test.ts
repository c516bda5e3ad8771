import { expect, it } from '@jest/globals';
import { durabilityOf } from './durability.ts';

const flushed = { replicas: 1, settings: { 'flush.messages': '1', 'min.insync.replicas': '1' } };
const replicated = { replicas: 3, settings: { 'min.insync.replicas': '2' } };

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
])('%s', (_, topics, durable) => {
  expect(durabilityOf(topics).durable).toBe(durable);
});
