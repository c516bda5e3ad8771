import { type Position, showPosition, type TopicPartition } from '../events/record.ts';
import type { Queries } from './identity.ts';

/** A position whose record is a loser from now on, because an operator said so. */
export interface DeclaredVoid extends Position {
  readonly reason: string;
  readonly declaredAt: Date;
}

/** False when it was declared before; the first reason stands. */
export async function declareVoid(database: Queries, position: Position, reason: string): Promise<boolean> {
  const rows = await database.query({
    text: `
      INSERT INTO log_voids (topic, partition, "offset", reason) VALUES ($1, $2, $3, $4)
      ON CONFLICT DO NOTHING RETURNING reason`,
    values: [position.topic, position.partition, position.offset, reason],
  });
  return rows.length > 0;
}

/** Whether a position is declared void, as of now. */
export async function voidTest(database: Queries): Promise<(position: Position) => boolean> {
  const positions = new Set((await voidsOf(database)).map(showPosition));
  return (position) => positions.size > 0 && positions.has(showPosition(position));
}

/** Those of some partitions, or all, in the order of the log. */
export async function voidsOf(database: Queries, partitions?: readonly TopicPartition[]): Promise<DeclaredVoid[]> {
  const rows = await database.query<DeclaredVoid & Record<string, unknown>>({
    text: `
      SELECT topic, partition, "offset", reason, declared_at AS "declaredAt" FROM log_voids
      WHERE $1::text[] IS NULL OR (topic, partition) IN (SELECT * FROM unnest($1::text[], $2::int[]))
      ORDER BY topic, partition, "offset"`,
    values: [partitions?.map(({ topic }) => topic), partitions?.map(({ partition }) => partition)],
  });
  return rows;
}
