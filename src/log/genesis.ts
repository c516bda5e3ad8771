import { reasonOf } from '../errors.ts';
import { decodeEvent, encodeEvent, subjectOf } from '../events/codec.ts';
import { readEnvelope, toRecord, valueIsIntact, type Envelope } from '../events/envelope.ts';
import { type LogOwner, type OwnerChanged, type PartitionOpened, RULE_VERSION } from '../events/genesis.ts';
import { newId } from '../events/ids.ts';
import type { Placement } from '../events/placement.ts';
import { partitionKey, type LogRecord, type StoredRecord, type TopicPartition } from '../events/record.ts';

const SUBJECT = subjectOf('PartitionOpened');
const CHANGED = subjectOf('OwnerChanged');

/** The first record of a partition; `owner` is null for an embedded log. */
export function genesisRecord(
  placement: Placement,
  where: TopicPartition,
  incarnation: string,
  owner: LogOwner | null = null,
): LogRecord {
  const { topic, partition } = where;
  const { partitions } = placement;
  const opened: PartitionOpened = {
    type: 'PartitionOpened',
    incarnation,
    topic,
    partition,
    partitions,
    ruleVersion: RULE_VERSION,
    owner,
  };
  return toRecord(envelopeOf(SUBJECT, placement.genesisOf(where), { version: 0, id: '' }), encodeEvent(opened));
}

/** The record that gives a partition another owner. It follows `head` in its genesis stream. */
export function ownerRecord(
  placement: Placement,
  change: OwnerChanged,
  head: { readonly version: number; readonly id: string },
): LogRecord {
  return toRecord(envelopeOf(CHANGED, placement.genesisOf(change), head), encodeEvent(change));
}

function envelopeOf(type: string, stream: string, { version, id: prev }: { version: number; id: string }): Envelope {
  const id = newId();
  return {
    id,
    type,
    stream,
    version: version + 1,
    prev,
    time: new Date().toISOString(),
    actor: 'system',
    commandId: newId(),
    correlationId: id,
    causationId: id,
    bodyHash: '',
  };
}

/** The owner event in an accepted record; undefined for all other records. */
export function ownerIn(
  { type, stream }: Pick<Envelope, 'type' | 'stream'>,
  record: StoredRecord,
  placement: Placement,
): OwnerSaid | undefined {
  if (type !== SUBJECT && type !== CHANGED) return undefined;
  if (stream !== placement.genesisOf(record) || !valueIsIntact(record)) return undefined;
  try {
    const event = decodeEvent(type, record.value);
    return event.type === 'OwnerChanged' || event.type === 'PartitionOpened' ? event : undefined;
  } catch {
    return undefined; // quarantined like any event that cannot be decoded
  }
}

export type OwnerSaid = PartitionOpened | OwnerChanged;

/** The event in a partition's first record, or why that is not the expected genesis record. */
export function readGenesis(placement: Placement, first: StoredRecord): PartitionOpened | string {
  const where = partitionKey(first);
  if (first.offset !== 0) return `${where} begins at offset ${first.offset}: its genesis record was deleted`;
  const opened = decodeGenesis(placement, first);
  if (typeof opened === 'string') return `${where} does not begin with a genesis record: ${opened}`;
  const difference = differenceOf(opened, first, placement);
  return difference === undefined ? opened : `the genesis record of ${where} says ${difference}`;
}

function decodeGenesis(placement: Placement, first: StoredRecord): PartitionOpened | string {
  const reading = readEnvelope(first);
  if (reading.kind !== 'ours') return reading.reason;
  const { stream, type, version, prev } = reading.envelope;
  if (stream !== placement.genesisOf(first)) return `its first record belongs to ${stream}`;
  if (type !== SUBJECT) return `its first record is ${type}`;
  if (version !== 1 || prev !== '') return `its first record claims version ${version}`;
  if (!valueIsIntact(first)) return 'the value of its first record is corrupt';
  return decodeValue(first);
}

function decodeValue({ value }: StoredRecord): PartitionOpened | string {
  try {
    const event = decodeEvent(SUBJECT, value);
    return event.type === 'PartitionOpened' ? event : `its first record is ${event.type}`;
  } catch (error) {
    return `its first record cannot be decoded: ${reasonOf(error)}`;
  }
}

function differenceOf(opened: PartitionOpened, where: TopicPartition, placement: Placement): string | undefined {
  if (partitionKey(opened) !== partitionKey(where)) return `it belongs to ${partitionKey(opened)}`;
  if (opened.partitions !== placement.partitions) {
    return `the topic has ${opened.partitions} partitions, ${placement.partitions} are configured`;
  }
  if (opened.ruleVersion !== RULE_VERSION) {
    return `records are judged by rule ${opened.ruleVersion}, this code knows rule ${RULE_VERSION}`;
  }
  return undefined;
}
