import type { Client } from '../../postgres/pool.ts';
import type { Projection } from '../engine/table.ts';

/** Tables of a generation beside those of projections, with the columns that every rebuild must give again. */
const OWN_TABLES = {
  stream_events: '*',
  checkpoints: 'topic, partition, next, fingerprint',
  quarantine: 'stream, version, record_id, topic, partition, "offset"',
};

export interface TableChecksum {
  readonly table: string;
  readonly rows: number;
  readonly checksum: string;
}

/** One checksum per table of a generation: the sum of 64 bits of each row's md5, so the order of rows does not matter. */
export async function tableChecksums(
  client: Client,
  schema: string,
  projections: readonly Projection[],
): Promise<TableChecksum[]> {
  const tables: [string, string][] = [
    ...Object.entries(OWN_TABLES),
    ...projections.map(({ table }): [string, string] => [table.name, Object.keys(table.columns).join(', ')]),
  ];
  const sums: TableChecksum[] = [];
  for (const [table, columns] of tables) {
    const { rows } = await client.query<{ rows: number; checksum: string }>(
      `SELECT count(*) AS rows, coalesce(sum(('x' || left(md5(t::text), 16))::bit(64)::bigint), 0)::text AS checksum
        FROM (SELECT ${columns} FROM "${schema}".${table}) t`,
    );
    const [sum] = rows;
    if (sum) sums.push({ table, ...sum });
  }
  return sums;
}

/** Describes the tables in which two generations differ; empty when they are equal. */
export function differences(one: readonly TableChecksum[], other: readonly TableChecksum[]): string[] {
  return one.flatMap(({ table, rows, checksum }) => {
    const twin = other.find((each) => each.table === table);
    if (twin?.checksum === checksum && twin.rows === rows) return [];
    return [`${table}: ${rows} rows (${checksum}) against ${twin?.rows ?? 0} rows (${twin?.checksum ?? 'none'})`];
  });
}
