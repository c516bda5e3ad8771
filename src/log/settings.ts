import type { NewTopic, TopicDescription } from './event-log.ts';

export const FOR_EVER = -1;

/** The settings that a topic which must keep every record needs. */
const KEEPS_ALL = { 'cleanup.policy': 'delete', 'retention.ms': '-1', 'retention.bytes': '-1' };
/** The same for a topic that must keep the newest record of each key. Retention deletes nothing from a compacted topic. */
const KEEPS_NEWEST = { 'cleanup.policy': 'compact' };
/** Settings that may differ, at a cost that the alarm names. */
const EXPECTED: Readonly<Record<string, { value: string; cost: string }>> = {
  'compression.type': {
    value: 'producer',
    cost: 'the brokers compress every append again, and readers need that codec',
  },
  'message.timestamp.type': { value: 'CreateTime', cost: 'readers see when a record arrived, not when it was sent' },
};
/** An append has at most 512,000 bytes for a partition, and their framing. */
const APPEND_BYTES = 600_000;

/** Why no process may start on such a topic: records would be lost, or could not be placed. */
export function refusalsOf(wanted: NewTopic, found: TopicDescription): string[] {
  const { topic, partitions, retentionMs, compacted, mayExpire } = wanted;
  const refusals: string[] = [];
  if (found.partitions < partitions) {
    refusals.push(`topic ${topic} has ${found.partitions} partitions, ${partitions} are configured`);
  }
  if (retentionMs !== FOR_EVER || mayExpire) return refusals;
  const differing = Object.entries(compacted ? KEEPS_NEWEST : KEEPS_ALL).filter(
    ([name, value]) => found.settings[name] !== value,
  );
  return [...refusals, ...differing.map(([name, value]) => differenceIn(found, name, value))];
}

/** Problems of a topic that do not prevent a start. Settings that a broker does not report are not judged. */
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

/** Settings under which the broker refuses appends. */
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
