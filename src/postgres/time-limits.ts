import type { Client } from './pool.ts';

/** Limits that an operator can set for a role, a database or the server, and that are meant for short statements. */
const LIMITS = [
  ...['statement_timeout', 'transaction_timeout', 'lock_timeout'],
  ...['idle_in_transaction_session_timeout', 'idle_session_timeout'],
];

const LIFT = `SELECT name, setting || coalesce(' ' || unit, '') AS value, set_config(name, '0', false)
  FROM pg_settings WHERE name = ANY ($1) AND setting <> '0'`;

/**
 * Lifts on this connection what would end a replay, a migration or a commit of the projector half-way; our side has
 * deadlines of its own. Returns what was lifted: `statement_timeout (5000 ms)`.
 */
export async function liftTimeLimits(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string; value: string }>(LIFT, [LIMITS]);
  return rows.map(({ name, value }) => `${name} (${value})`);
}
