import { z } from 'zod';
import { partitionKey } from '../events/record.ts';
import type { Span } from './entry.ts';
import type { Queries } from './identity.ts';

/** Offsets whose records always lose, because an operator declared them void. */
export interface DeclaredVoid extends Span {
  readonly last: number;
  readonly reason: string;
  readonly declaredAt: Date;
}

/** Whether every offset of a span is void. */
export type VoidTest = (span: Span) => boolean;

/** False when it was declared before; the first reason remains. A gap that has grown since then is extended. */
export async function declareVoid(
  database: Queries,
  span: Span,
  reason: string,
  declaredAt = new Date(),
): Promise<boolean> {
  const { topic, partition, offset, last = offset } = span;
  const rows = await database.query({
    text: `
      INSERT INTO log_voids (topic, partition, "offset", last_offset, reason, declared_at)
      VALUES ($1, $2, $3, $4, $5, $6)
      ON CONFLICT (topic, partition, "offset") DO UPDATE SET last_offset = excluded.last_offset
      WHERE log_voids.last_offset < excluded.last_offset
      RETURNING reason`,
    values: [topic, partition, offset, last, reason, declaredAt],
  });
  return rows.length > 0;
}

/** Several voids can cover a span together. They may come in any order. */
export function voidTestOf(voids: readonly Span[]): VoidTest {
  const sorted = voids.toSorted((one, other) => one.offset - other.offset);
  const byPartition = Map.groupBy(sorted, partitionKey);
  return (span) => {
    const { offset, last = offset } = span;
    let next = offset;
    for (const each of byPartition.get(partitionKey(span)) ?? []) {
      if (each.offset > next) break;
      next = Math.max(next, (each.last ?? each.offset) + 1);
    }
    return next > last;
  };
}

const voidRows = z.array(
  z.object({
    topic: z.string(),
    partition: z.int(),
    offset: z.int(),
    last: z.int(),
    reason: z.string(),
    declaredAt: z.date(),
  }),
);

/** The voids in this database's copy, in the order of the log. */
export async function voidsOf(database: Queries): Promise<DeclaredVoid[]> {
  const text = `
    SELECT topic, partition, "offset", last_offset AS last, reason, declared_at AS "declaredAt" FROM log_voids
    ORDER BY topic, partition, "offset"`;
  return voidRows.parse(await database.query({ text }));
}
