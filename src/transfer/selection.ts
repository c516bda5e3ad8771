import { subjectOf, schemaVersions } from '../events/codec.ts';
import type { Envelope } from '../events/envelope.ts';
import { partitionKey, type Position, type TopicPartition } from '../events/record.ts';

/** Which part of the log is wanted, as it was typed. A bound is a time or a position. */
export interface SelectionOptions {
  readonly from?: readonly string[];
  readonly to?: readonly string[];
  readonly type?: readonly string[];
}

/** Offsets of one partition. */
export interface SelectedRange extends TopicPartition {
  readonly from: number;
  /** The offset after the last one. */
  readonly to: number;
}

export interface Selection {
  /** One for each partition, in the order of the log. */
  readonly ranges: readonly SelectedRange[];
  /** ISO 8601 in UTC: events of this time and later ones. */
  readonly since: string | undefined;
  /** ISO 8601 in UTC: only events before it. */
  readonly before: string | undefined;
  /** Full names; all types when it is undefined. */
  readonly types: readonly string[] | undefined;
}

/** Parses the options. `ends` are those of the log, in its order: nothing behind them is selected. Throws with what to write instead. */
export function selectionOf({ from = [], to = [], type = [] }: SelectionOptions, ends: readonly Position[]): Selection {
  const [begin, end] = [boundOf('--from', from), boundOf('--to', to)];
  for (const position of [...begin.offsets, ...end.offsets].map(([, position]) => position)) mustExist(position, ends);
  const [first, last] = [new Map(begin.offsets), new Map(end.offsets)];
  const ranges = ends.map(({ topic, partition, offset }) => {
    const key = partitionKey({ topic, partition });
    const until = Math.min(last.get(key)?.offset ?? offset, offset);
    return { topic, partition, from: Math.min(first.get(key)?.offset ?? 0, until), to: until };
  });
  return { ranges, since: begin.time, before: end.time, types: type.length === 0 ? undefined : typesOf(type) };
}

export const isSelected = ({ since, before, types }: Selection, { time, type }: Envelope): boolean =>
  (since === undefined || time >= since) &&
  (before === undefined || time < before) &&
  (types === undefined || types.includes(type));

interface Bound {
  readonly time: string | undefined;
  readonly offsets: readonly (readonly [string, Position])[];
}

function boundOf(option: string, texts: readonly string[]): Bound {
  const positions = texts.filter((text) => text.includes('@'));
  const [time, ...more] = texts.filter((text) => !text.includes('@'));
  if (more.length > 0)
    throw new Error(`${option} takes one time at most; positions may be several, one for a partition.`);
  return {
    time: time === undefined ? undefined : parseTime(option, time),
    offsets: positions
      .map((text) => parsePosition(text))
      .map((position) => [partitionKey(position), position] as const),
  };
}

const TIME = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d)?)?$/;

/** A time without a zone is in UTC, as the times of the log are. */
function parseTime(option: string, text: string): string {
  const zoned = /T.*(?:Z|[+-]\d\d:\d\d)$/.test(text) || !text.includes('T') ? text : `${text}Z`;
  const ms = TIME.test(text) ? Date.parse(zoned) : NaN;
  if (Number.isNaN(ms))
    throw new Error(
      `${option} ${text} is neither a time, as in 2026-11-30 or 2026-11-30T08:00Z, nor a position, as in openmusic.catalog/3@128.`,
    );
  return new Date(ms).toISOString();
}

/** Parses `topic/partition@offset`, as positions are shown everywhere. */
export function parsePosition(text: string): Position {
  const found = /^(.+)\/(\d+)@(\d+)$/.exec(text);
  if (!found?.[1])
    throw new Error(`${text} is not a position. Write topic/partition@offset, as in openmusic.catalog/3@128.`);
  return { topic: found[1], partition: Number(found[2]), offset: Number(found[3]) };
}

function mustExist(position: Position, ends: readonly Position[]): void {
  if (ends.some((end) => partitionKey(end) === partitionKey(position))) return;
  const topics = [...new Set(ends.map(({ topic }) => topic))];
  throw new Error(`There is no ${partitionKey(position)}. The event topics are: ${topics.join(', ')}.`);
}

const NO_EVENTS = ['PartitionOpened', 'OwnerChanged', 'PositionVoided'].map(subjectOf);
const SUBJECTS = [...new Set(schemaVersions.map(({ subject }) => subject))].filter((each) => !NO_EVENTS.includes(each));

/** Full names of types that were given with or without `openmusic.`, sorted. */
function typesOf(given: readonly string[]): string[] {
  const names = given.flatMap((text) => text.split(',')).map((name) => (name.includes('.') ? name : subjectOf(name)));
  const unknown = names.find((name) => !SUBJECTS.includes(name));
  if (unknown !== undefined) throw new Error(`There is no event type ${unknown}. There are: ${SUBJECTS.join(', ')}.`);
  return [...new Set(names)].toSorted();
}

/** The types of which an export can hold events. */
export const selectedTypes = ({ types }: Selection): readonly string[] => types ?? SUBJECTS;
