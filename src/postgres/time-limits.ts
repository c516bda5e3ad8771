import type { Client } from './pool.ts';

/** Limits for short statements that an operator can set for a role, a database or the server. */
const LIMITS = [
  'statement_timeout',
  'transaction_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
  'idle_session_timeout',
];

const LIFT = `SELECT name, setting || coalesce(' ' || unit, '') AS value, set_config(name, '0', false)
  FROM pg_settings WHERE name = ANY ($1) AND setting <> '0'`;

/**
 * Lifts the limits on this connection that would interrupt a replay, a migration or a commit of the projector. Our side has deadlines
 * of its own. Returns the lifted limits: `statement_timeout (5000 ms)`.
 */
export async function liftTimeLimits(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string; value: string }>(LIFT, [LIMITS]);
  return rows.map(({ name, value }) => `${name} (${value})`);
}
