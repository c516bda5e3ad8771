import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { PostgresConnection } from '../src/postgres/connection.ts';

/** The generation of the read models that is served, seen through SQL. */
export interface ServedGeneration {
  readonly schema: string;
  readonly client: pg.Client;
  /** Records applied, genesis records included. */
  applied(): Promise<number>;
  /** Deletes all rows, as if nothing had been applied. No projector may run meanwhile. */
  empty(): Promise<void>;
  close(): Promise<void>;
}

/** Throws when no generation is served. */
export async function openServedGeneration(connection: PostgresConnection): Promise<ServedGeneration> {
  const client = new pg.Client(connection);
  await client.connect();
  const serving = `SELECT schema_name AS schema FROM openmusic.generations WHERE state = 'serving'`;
  const schema = (await client.query<{ schema: string }>(serving)).rows[0]?.schema;
  if (schema === undefined) throw new Error('no generation is served');
  const tables = (await tablesOf(client, schema)).filter((table) => table !== 'checkpoints');
  return {
    schema,
    client,
    async applied() {
      const text = `SELECT sum(next)::float8 AS applied FROM "${schema}".checkpoints`;
      return (await client.query<{ applied: number }>({ name: 'applied', text })).rows[0]?.applied ?? 0;
    },
    async empty() {
      await client.query(`TRUNCATE ${tables.map((table) => `"${schema}".${table}`).join(', ')};
        UPDATE "${schema}".checkpoints SET next = 0, fingerprint = '', leader_epoch = 0`);
    },
    close: () => client.end(),
  };
}

export async function tablesOf(client: pg.Client, schema: string): Promise<string[]> {
  const text = 'SELECT tablename FROM pg_tables WHERE schemaname = $1 ORDER BY 1';
  return (await client.query<{ tablename: string }>(text, [schema])).rows.map(({ tablename }) => tablename);
}

/** How many records were applied at a point in time. */
export interface Point {
  readonly ms: number;
  readonly applied: number;
}

const LOOK_EVERY_MS = 50;

/** Polls until `total` records are applied. Throws when the projector ends before. */
export async function follow(generation: ServedGeneration, total: number, running: () => boolean): Promise<Point[]> {
  const points: Point[] = [];
  for (;;) {
    const point = { ms: performance.now(), applied: await generation.applied() };
    points.push(point);
    if (point.applied >= total) return points;
    if (!running()) throw new Error(`the projector ended after ${point.applied} of ${total} records`);
    await delay(LOOK_EVERY_MS);
  }
}

/** The time at which so many records were applied, interpolated between two polls. */
export function timeOf(points: readonly Point[], applied: number): number {
  const after = points.findIndex((point) => point.applied >= applied);
  const [before, next] = [points[after - 1], points[after]];
  if (!next) throw new Error(`${applied} records were never applied`);
  if (!before || next.applied === before.applied) return next.ms;
  const share = (applied - before.applied) / (next.applied - before.applied);
  return before.ms + share * (next.ms - before.ms);
}
