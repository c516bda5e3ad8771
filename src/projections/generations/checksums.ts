import type { Client } from '../../postgres/pool.ts';
import type { Projection } from '../engine/projection.ts';

/** What a rebuild must give again, with the columns that do not depend on when it was made. */
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

/** One checksum per table of a build, whatever order its rows lie in: the sum of the rows' md5, 64 bits of each. */
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

/** The tables in which two builds differ, each in words; empty when they are equal. */
export function differences(one: readonly TableChecksum[], other: readonly TableChecksum[]): string[] {
  return one.flatMap(({ table, rows, checksum }) => {
    const twin = other.find((each) => each.table === table);
    if (twin?.checksum === checksum && twin.rows === rows) return [];
    return [`${table}: ${rows} rows (${checksum}) against ${twin?.rows ?? 0} rows (${twin?.checksum ?? 'none'})`];
  });
}
