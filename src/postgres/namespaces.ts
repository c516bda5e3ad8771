import type { Database } from './pool.ts';

/** Other namespaces of this database whose embedded log has events; empty when the log of this namespace has some itself. */
export async function namespacesWithData(database: Database, own: string): Promise<string[]> {
  if (await holdsEvents(database, own)) return [];
  const schemas = await database.query<{ name: string }>({
    text: `SELECT n.nspname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relname = 'log_records' AND c.relkind = 'r' AND n.nspname <> $1 ORDER BY 1`,
    values: [own],
  });
  const found: string[] = [];
  for (const { name } of schemas) if (await holdsEvents(database, name)) found.push(name);
  return found;
}

/** Offset 0 does not count, because every partition begins with a genesis record. */
async function holdsEvents(database: Database, schema: string): Promise<boolean> {
  const quoted = `"${schema.replaceAll('"', '""')}"`;
  const [row] = await database.query<{ filled: boolean }>({
    text: `SELECT EXISTS (SELECT FROM ${quoted}.log_records WHERE "offset" > 0) AS filled`,
  });
  return row?.filled ?? false;
}
