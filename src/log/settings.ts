import type { NewTopic, TopicDescription } from './event-log.ts';

export const FOR_EVER = -1;

/** What a topic that must keep everything may not differ in. */
const KEEPS_ALL = { 'cleanup.policy': 'delete', 'retention.ms': '-1', 'retention.bytes': '-1' };
/** The same of a topic that must keep the newest record of each key. Time and size delete nothing of a compacted topic. */
const KEEPS_NEWEST = { 'cleanup.policy': 'compact' };
/** What works otherwise too, at a cost that its alarm names. */
const EXPECTED: Readonly<Record<string, { value: string; cost: string }>> = {
  'compression.type': { value: 'producer', cost: 'the brokers pack every append anew, and readers need that codec' },
  'message.timestamp.type': { value: 'CreateTime', cost: 'readers see when a record came, not when it was sent' },
};
/** An append is of at most 512,000 bytes a partition, and what frames them. */
const APPEND_BYTES = 600_000;

/** Why nothing may be started on such a topic: records would be lost, or could not be placed. */
export function refusalsOf(wanted: NewTopic, found: TopicDescription): string[] {
  const { topic, partitions, retentionMs, compacted } = wanted;
  const refusals: string[] = [];
  if (found.partitions < partitions) {
    refusals.push(`topic ${topic} has ${found.partitions} partitions, ${partitions} are configured`);
  }
  if (retentionMs !== FOR_EVER) return refusals;
  const differing = Object.entries(compacted ? KEEPS_NEWEST : KEEPS_ALL).filter(
    ([name, value]) => found.settings[name] !== value,
  );
  return [...refusals, ...differing.map(([name, value]) => differenceIn(found, name, value))];
}

/** What is wrong with a topic on which we can work all the same. Settings that a broker does not tell are not judged. */
export function alarmsOf({ topic, partitions, retentionMs }: NewTopic, found: TopicDescription): string[] {
  if (retentionMs !== FOR_EVER) return [];
  const alarms = Object.entries(EXPECTED)
    .filter(([name, { value }]) => (found.settings[name] ?? value) !== value)
    .map(([name, { value, cost }]) => `${differenceIn(found, name, value)}: ${cost}`);
  if (found.partitions > partitions) {
    const count = `topic ${topic} has ${found.partitions} partitions, the log was made with ${partitions}`;
    alarms.push(`${count}: only the first ${partitions} are read, and nothing of ours is written to the others`);
  }
  return [...alarms, ...appendAlarms(found)];
}

/** Settings under which appends are refused. */
function appendAlarms({ topic, settings, replicas }: TopicDescription): string[] {
  const alarms: string[] = [];
  const largest = Number(settings['max.message.bytes'] ?? APPEND_BYTES);
  if (largest < APPEND_BYTES) {
    alarms.push(
      `topic ${topic} has max.message.bytes=${largest}, less than ${APPEND_BYTES}: larger appends are refused`,
    );
  }
  const inSync = Number(settings['min.insync.replicas'] ?? 1);
  if (inSync > replicas) {
    alarms.push(`topic ${topic} has min.insync.replicas=${inSync} and ${replicas} replicas: every append is refused`);
  }
  return alarms;
}

/** What it is, what it must be; the runbook has the command that sets it. */
const differenceIn = ({ topic, settings }: TopicDescription, name: string, value: string): string =>
  `topic ${topic} has ${name}=${settings[name] ?? 'unknown'}, it must be ${value}`;
