import type { Position, TopicPartition } from '../events/record.ts';
import type { Database } from '../postgres/pool.ts';

/** An accepted event with its place in the log. */
export interface AcceptedEvent extends Position {
  readonly stream: string;
  readonly version: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly value: Buffer;
  /** Why the stream is quarantined from this event or an earlier one on; null while it is applied. */
  readonly quarantined: string | null;
}

/** Offsets of one partition, from `offset` on. */
export interface Range extends Position {
  /** The first offset that is not wanted; without it the range has no end. */
  readonly until?: number;
}

/** The accepted events of a range, or the first of them. */
export interface AcceptedSlice extends TopicPartition {
  readonly events: readonly AcceptedEvent[];
  /** All accepted events of the range before this offset are in `events`. */
  readonly next: number;
}

export interface AcceptedOptions {
  /** How many events of each partition are read at most. */
  readonly limit: number;
  /** Header `ce_type` of the wanted events. */
  readonly type?: string | undefined;
  readonly stream?: string | undefined;
}

interface Row extends Omit<AcceptedEvent, 'offset'> {
  readonly checkpoint: number;
  /** Null for a partition without wanted events. */
  readonly offset: number | null;
}

/** Genesis records are left out, because they are about the log and not about music. */
const textOf = ({ type, stream }: AcceptedOptions) => `
  SELECT c.topic, c.partition, c.next AS checkpoint, e."offset", e.stream, e.version, e.headers, e.value, q.reason AS quarantined
  FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[]) AS w (topic, partition, first, until)
  JOIN checkpoints c ON c.topic = w.topic AND c.partition = w.partition
  LEFT JOIN LATERAL (
    SELECT * FROM stream_events s
    WHERE s.topic = w.topic AND s.partition = w.partition AND s."offset" >= w.first AND s."offset" < w.until
      AND NOT starts_with(s.stream, 'genesis-')
      AND ${type === undefined ? '$6::text IS NULL' : 's.type = $6'}
      AND ${stream === undefined ? '$7::text IS NULL' : 's.stream = $7'}
    ORDER BY s."offset" LIMIT $5) e ON true
  LEFT JOIN quarantine q ON q.stream = e.stream AND q.version <= e.version
  ORDER BY c.topic, c.partition, e."offset"`;

const NO_END = Number.MAX_SAFE_INTEGER;

/** Reads accepted events by position, of the generation on the search path, in one snapshot with the checkpoints. */
export async function readAccepted(
  database: Pick<Database, 'query'>,
  ranges: readonly Range[],
  options: AcceptedOptions,
): Promise<AcceptedSlice[]> {
  const { limit, type, stream } = options;
  const rows = await database.query<Row & Record<string, unknown>>({
    name: `accepted${type === undefined ? '' : '-type'}${stream === undefined ? '' : '-stream'}`,
    text: textOf(options),
    values: [
      ranges.map(({ topic }) => topic),
      ranges.map(({ partition }) => partition),
      ranges.map(({ offset }) => offset),
      ranges.map(({ until = NO_END }) => until),
      limit,
      type,
      stream,
    ],
  });
  const grouped = Map.groupBy(rows, ({ topic, partition }) => `${topic}/${partition}`);
  return ranges.map((range) => sliceOf(range, grouped.get(`${range.topic}/${range.partition}`) ?? [], limit));
}

function sliceOf(range: Range, rows: readonly Row[], limit: number): AcceptedSlice {
  const { topic, partition, offset: first, until = NO_END } = range;
  const events = rows.flatMap(({ offset, ...row }) => (offset === null ? [] : [{ ...row, offset }]));
  const last = events.at(-1);
  // A partition without a row, or with an older checkpoint, is not as far as the range: nothing of it is skipped.
  const reached = Math.min(until, Math.max(first, rows[0]?.checkpoint ?? first));
  return { topic, partition, events, next: last && events.length === limit ? last.offset + 1 : reached };
}
