import type { QueryConfig, QueryResultRow } from 'pg';
import { unavailable } from '../errors.ts';
import { type PlaceRequest, createPlaces, type Places } from '../concurrency/places.ts';
import type { Database } from './pool.ts';

/**
 * Reads of lists. They have some of a pool's connections at most, so that commands and reads of one thing find one however
 * many long lists are asked for. A query holds its connection until its rows are here, never until a client has them.
 */
export interface ListReader {
  /** What is likely to be all there is. */
  readonly first: Database['query'];
  /** What comes after that; it waits for fewer connections, so that the first of others comes before it. */
  readonly query: Database['query'];
}

const refusal = () => unavailable('TOO_MANY_AT_ONCE', 'Too many lists are being read at once.', undefined, 10);
/** One connection of each is left to the others, whatever one client asks for. */
const FIRST = { all: 4, each: 3, waiting: 500, waitMs: 10_000, refusal };
const MORE = { all: 2, each: 1, waiting: 500, waitMs: 10_000, refusal };

/** Readers of lists, each for one client. Their queries reject with TOO_MANY_AT_ONCE and CLIENT_LEFT, before they have a connection. */
export function createListReaders(database: Pick<Database, 'query'>): (claim: PlaceRequest) => ListReader {
  const [first, more] = [createPlaces(FIRST), createPlaces(MORE)];
  const readIn =
    (places: Places, claim: PlaceRequest): Database['query'] =>
    <Row extends QueryResultRow>(query: QueryConfig) =>
      places.within(claim, () => database.query<Row>(query));
  return (claim) => ({ first: readIn(first, claim), query: readIn(more, claim) });
}
