import { crc32 } from 'node:zlib';
import { reasonOf } from '../../../src/errors.ts';
import { decodeEvent } from '../../../src/events/codec.ts';
import type { AnyEvent } from '../../../src/events/events.ts';
import type { Placement } from '../../../src/events/placement.ts';
import { partitionKey, type Position, showPosition, type StoredRecord } from '../../../src/events/record.ts';
import type { Violation } from './history.ts';

/** A record that won its version, by this file's own implementation of docs/reference/log-format.md. */
export interface Accepted {
  readonly stream: string;
  readonly version: number;
  readonly id: string;
  readonly commandId: string;
  readonly correlationId: string;
  readonly actor: string;
  /** When it was decided. */
  readonly time: string;
  /** Or why there is no value: an accepted record keeps its version, and its stream is quarantined. */
  readonly event: AnyEvent | Undecodable;
  readonly record: StoredRecord;
}

export interface Undecodable {
  readonly type: 'undecodable';
  readonly reason: string;
}

/** The result of the log. No code of `src/projections` is used, so that a fault there cannot hide itself. */
export interface Judgement {
  /** By stream, in the order of versions. */
  readonly accepted: ReadonlyMap<string, readonly Accepted[]>;
  readonly violations: readonly Violation[];
}

/** Records that an operator declared void lose. */
export function judge(
  records: readonly StoredRecord[],
  placement: Placement,
  isVoid: (position: Position) => boolean = () => false,
): Judgement {
  const accepted = new Map<string, Accepted[]>();
  const violations = gapsInOffsets(records);
  for (const record of records.filter((each) => !isVoid(each))) {
    const trouble = troubleOf(record, placement);
    const history = accepted.get(record.key) ?? [];
    if (trouble !== undefined) violations.push(broken(record, trouble));
    else if (follows(record, history)) accepted.set(record.key, [...history, toAccepted(record)]);
    else if (!isHonest(record, history)) violations.push(gapInVersions(record, history));
  }
  const undecodable = [...accepted.values()]
    .flat()
    .flatMap(({ event, record }) => (event.type === 'undecodable' ? [broken(record, event.reason)] : []));
  return { accepted, violations: [...violations, ...undecodable] };
}

const broken = (record: StoredRecord, trouble: string): Violation => ({
  rule: 'broken-record',
  message: `${showPosition(record)} of ${record.key}: ${trouble}`,
});

function gapsInOffsets(records: readonly StoredRecord[]): Violation[] {
  const next = new Map<string, number>();
  return records.flatMap((record): Violation[] => {
    const expected = next.get(partitionKey(record)) ?? 0;
    next.set(partitionKey(record), record.offset + 1);
    if (record.offset === expected) return [];
    return [{ rule: 'gap-in-offsets', message: `${showPosition(record)} stands where ${expected} must be` }];
  });
}

const EXTENSIONS = `specversion id source type subject time streamversion prev commandid actor correlationid causationid bodyhash`;
/** Everything that a record must have except its checksum, which covers these and nothing else. */
const HEADERS = [...EXTENSIONS.split(' ').map((name) => `ce_${name}`), 'content-type'].sort();

function troubleOf(record: StoredRecord, placement: Placement): string | undefined {
  const { key, headers } = record;
  const missing = [...HEADERS, 'ce_checksum'].find((name) => headers[name] === undefined);
  if (missing !== undefined) return `it has no header ${missing}`;
  const text = [key, ...HEADERS.map((name) => `${name}\0${headers[name] ?? ''}\0`)].join('');
  const checksum = hex(crc32(text));
  if (headers.ce_checksum?.slice(9) !== checksum)
    return `key and headers sum up to ${checksum}, not to ${headers.ce_checksum ?? ''}`;
  if (headers.ce_subject !== key) return `its key is ${key} and its subject ${headers.ce_subject ?? ''}`;
  return placement.belongs(key, record) ? undefined : `${key} does not belong there`;
}

const hex = (crc: number): string => crc.toString(16).padStart(8, '0');
const versionOf = ({ headers }: StoredRecord) => Number(headers.ce_streamversion);
const prevOf = ({ headers }: StoredRecord) => headers.ce_prev ?? '';

const follows = (record: StoredRecord, history: readonly Accepted[]) =>
  versionOf(record) === history.length + 1 && prevOf(record) === (history.at(-1)?.id ?? '');

/** A loser claims a version that another record took before it, and was decided on an existing head. */
function isHonest(record: StoredRecord, history: readonly Accepted[]): boolean {
  const version = versionOf(record);
  return version <= history.length && prevOf(record) === (history[version - 2]?.id ?? '');
}

const gapInVersions = (record: StoredRecord, history: readonly Accepted[]): Violation => ({
  rule: 'gap-in-versions',
  message: `${showPosition(record)} claims version ${versionOf(record)} of ${record.key} after ${prevOf(record)}, where the log has accepted ${history.length}, the last ${history.at(-1)?.id ?? 'none'}`,
});

function toAccepted(record: StoredRecord): Accepted {
  const { key, headers } = record;
  return {
    stream: key,
    version: versionOf(record),
    id: headers.ce_id ?? '',
    commandId: headers.ce_commandid ?? '',
    correlationId: headers.ce_correlationid ?? '',
    actor: headers.ce_actor ?? '',
    time: headers.ce_time ?? '',
    record,
    event: eventOf(record),
  };
}

function eventOf({ value, headers }: StoredRecord): Accepted['event'] {
  const checksum = hex(crc32(value));
  if (headers.ce_checksum?.slice(0, 8) !== checksum)
    return { type: 'undecodable', reason: `the value sums up to ${checksum}` };
  try {
    return decodeEvent(headers.ce_type ?? '', value);
  } catch (error) {
    return { type: 'undecodable', reason: reasonOf(error) };
  }
}
