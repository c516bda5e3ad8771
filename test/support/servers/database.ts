import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { PostgresConnection } from '../../../src/postgres/connection.ts';

export interface TestDatabase {
  connection: PostgresConnection;
  drop(): Promise<void>;
}

/** Names in the style of `t_1f0c3a9b`: valid in a topic, a group, a Postgres schema and a Redis key. */
export const randomName = (prefix: string) => `${prefix}_${randomBytes(4).toString('hex')}`;

/**
 * Creates the database that every test file clones, and returns its name. `migrated` fills it; no client may be connected
 * to it afterwards, or it cannot be cloned.
 */
export async function prepareTemplate(
  server: PostgresConnection,
  migrated: (template: PostgresConnection) => Promise<void> = () => Promise.resolve(),
): Promise<string> {
  const template = randomName('t');
  await administer(server, async (client) => {
    await client.query(`CREATE DATABASE ${template} TEMPLATE template0 ENCODING 'UTF8' ${await locale(client)}`);
  });
  await migrated({ ...server, database: template });
  return template;
}

/** The locale of production, where the server has it (17 and later): plain C folds no accented or Cyrillic letters. */
async function locale(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ version: number }>(
    `SELECT current_setting('server_version_num')::int AS version`,
  );
  const hasBuiltin = (rows[0]?.version ?? 0) >= 170_000;
  return hasBuiltin ? `LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C.UTF-8'` : `LOCALE 'C.UTF-8'`;
}

export async function cloneDatabase(server: PostgresConnection, template: string): Promise<TestDatabase> {
  const name = randomName(template);
  await administer(server, (client) => client.query(`CREATE DATABASE ${name} TEMPLATE ${template}`));
  return { connection: { ...server, database: name }, drop: () => dropDatabase(server, name) };
}

/** The template, and the clones that a killed test file did not drop. */
export async function dropTemplate(server: PostgresConnection, template: string): Promise<void> {
  await administer(server, async (client) => {
    const like = `SELECT datname FROM pg_database WHERE starts_with(datname, $1)`;
    const { rows } = await client.query<{ datname: string }>(like, [template]);
    for (const { datname } of rows) await client.query(`DROP DATABASE IF EXISTS ${datname} WITH (FORCE)`);
  });
}

async function dropDatabase(server: PostgresConnection, name: string): Promise<void> {
  await administer(server, (client) => client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
}

async function administer(server: PostgresConnection, work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client(server);
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
