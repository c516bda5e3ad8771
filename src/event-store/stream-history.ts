import { subjectOf } from '../events/codec.ts';
import type { Database } from '../postgres/pool.ts';
import type { StreamEvent } from './stream-events.ts';

/** Reads what happened to one stream, version by version. */
type Queryable = Pick<Database, 'query'>;

/** Versions from `first` to `last`. */
export interface VersionSpan {
  readonly first: number;
  readonly last: number;
}

/** An accepted event without its payload. */
export interface StreamVersion {
  readonly version: number;
  /** `ce_type`. */
  readonly type: string;
  /** ISO 8601, UTC. */
  readonly time: string;
  /** `ce_actor`. */
  readonly actor: string;
}

const VERSION = `e.version, e.type, e.headers->>'ce_time' AS time, e.headers->>'ce_actor' AS actor`;

/** The versions of a stream below `before`, the newest first. The spans must not overlap. */
export const versionsIn = (
  { query }: Queryable,
  stream: string,
  { spans, before, limit }: { spans: readonly VersionSpan[]; before: number; limit: number },
) =>
  query<StreamVersion>({
    name: 'versions-in',
    text: `SELECT ${VERSION} FROM unnest($2::int[], $3::int[]) AS span (first, last)
      JOIN stream_events e ON e.stream = $1 AND e.version BETWEEN span.first AND span.last
      WHERE e.version < $4 ORDER BY e.version DESC LIMIT $5`,
    values: [stream, spans.map(({ first }) => first), spans.map(({ last }) => last), before, limit],
  });

/** The last version whose time is not after `time`, in ISO 8601 with milliseconds, UTC; undefined before the first one. */
export async function versionAt({ query }: Queryable, stream: string, time: string) {
  const [row] = await query<StreamVersion>({
    name: 'version-at',
    text: `SELECT ${VERSION} FROM stream_events e
      WHERE e.stream = $1 AND (e.headers->>'ce_time') COLLATE "C" <= $2 ORDER BY e.version DESC LIMIT 1`,
    values: [stream, time],
  });
  return row;
}

/** The events of the stream of these types, in order. */
export const eventsOfTypes = ({ query }: Queryable, stream: string, types: readonly string[]) =>
  query<StreamEvent>({
    name: 'events-of-types',
    text: `SELECT stream, version, type, value FROM stream_events WHERE stream = $1 AND type = ANY($2) ORDER BY version`,
    values: [stream, types.map(subjectOf)],
  });

/** The deletion of each of these streams that was deleted, with its time. */
export const deletionsOf = ({ query }: Queryable, streams: readonly string[], type: string) =>
  query<StreamEvent & Pick<StreamVersion, 'time'>>({
    name: 'deletions-of',
    text: `SELECT stream, version, type, value, headers->>'ce_time' AS time FROM stream_events
      WHERE stream = ANY($1) AND type = $2 ORDER BY stream, version`,
    values: [streams, subjectOf(type)],
  });

/** Events up to and including `until` after `after`, in order, at most `limit`; of those of the type only the last one until then. */
export const eventsOfState = (
  { query }: Queryable,
  stream: string,
  { after, until, limit, lastOf }: { after: number; until: number; limit: number; lastOf: string },
) =>
  query<StreamEvent>({
    name: 'events-of-state',
    text: `SELECT stream, version, type, value FROM stream_events
      WHERE stream = $1 AND version > $2 AND version <= $3 AND (type <> $5 OR version = (
        SELECT max(version) FROM stream_events WHERE stream = $1 AND version <= $3 AND type = $5))
      ORDER BY version LIMIT $4`,
    values: [stream, after, until, limit, subjectOf(lastOf)],
  });
