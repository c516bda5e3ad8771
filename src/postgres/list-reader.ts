import type { QueryConfig, QueryResultRow } from 'pg';
import { unavailable } from '../errors.ts';
import { type PlaceRequest, createPlaces, type Places } from '../concurrency/places.ts';
import type { Database } from './pool.ts';

/**
 * Reads lists with only a part of a pool's connections, so that commands and reads of single items find a free one however many
 * long lists are requested. A query holds its connection until its rows have arrived, never until a client has received them.
 */
export interface ListReader {
  /** For the first rows of a list, which often are all of them. */
  readonly first: Database['query'];
  /** For later rows. It has fewer connections, so that the first rows of other lists take precedence. */
  readonly query: Database['query'];
}

const refusal = () => unavailable('TOO_MANY_AT_ONCE', 'Too many lists are being read at once.', undefined, 10);
/** One client cannot use all connections: one of each kind remains for the others. */
const FIRST = { all: 4, each: 3, waiting: 500, waitMs: 10_000, refusal };
const MORE = { all: 2, each: 1, waiting: 500, waitMs: 10_000, refusal };

/** A list reader per client. A query rejects with TOO_MANY_AT_ONCE or CLIENT_LEFT before it has a connection. */
export function createListReaders(database: Pick<Database, 'query'>): (claim: PlaceRequest) => ListReader {
  const [first, more] = [createPlaces(FIRST), createPlaces(MORE)];
  const readIn =
    (places: Places, claim: PlaceRequest): Database['query'] =>
    <Row extends QueryResultRow>(query: QueryConfig) =>
      places.within(claim, () => database.query<Row>(query));
  return (claim) => ({ first: readIn(first, claim), query: readIn(more, claim) });
}
