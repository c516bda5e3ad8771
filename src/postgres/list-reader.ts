import type { QueryConfig, QueryResultRow } from 'pg';
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

const FIRST_AT_ONCE = 4;
const MORE_AT_ONCE = 2;

export function createListReader(database: Pick<Database, 'query'>): ListReader {
  return { first: severalAtOnce(database, FIRST_AT_ONCE), query: severalAtOnce(database, MORE_AT_ONCE) };
}

function severalAtOnce(database: Pick<Database, 'query'>, limit: number): Database['query'] {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async <Row extends QueryResultRow>(query: QueryConfig) => {
    if (running < limit) running++;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await database.query<Row>(query);
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  };
}
