import { z } from 'zod';
import type { Database } from '../postgres/pool.ts';
import type { BreakerRow } from './breaker-state.ts';

/** Another process may try again when a half-open call has said nothing for so long. */
const HALF_OPEN_MS = 60_000;

const READ = `SELECT name, extract(epoch FROM open_until - now())::float8 * 1000 AS "openForMs",
    half_open_until > now() AS "halfOpenTaken", failed_domain AS "failedDomain" FROM breakers WHERE open_until IS NOT NULL`;

const OPEN = `INSERT INTO breakers (name, open_until, opened_at, reason, failed_domain)
  VALUES ($1, now() + $2 * interval '1 ms', now(), $3, $4)
  ON CONFLICT (name) DO UPDATE SET open_until = excluded.open_until, opened_at = excluded.opened_at,
    reason = excluded.reason, failed_domain = excluded.failed_domain, half_open_until = '-infinity'`;

const TAKE_HALF_OPEN = `UPDATE breakers SET half_open_until = now() + $2 * interval '1 ms'
  WHERE name = $1 AND open_until <= now() AND half_open_until <= now() RETURNING name`;

const LEAVE_HALF_OPEN = `UPDATE breakers SET half_open_until = '-infinity' WHERE name = $1`;

const CLOSE = `UPDATE breakers SET open_until = NULL, opened_at = NULL, failed_domain = NULL, half_open_until = '-infinity' WHERE name = $1`;

const rows = z.array(
  z.object({
    name: z.string(),
    openForMs: z.number(),
    halfOpenTaken: z.boolean(),
    failedDomain: z.string().nullable(),
  }),
);

/** The breakers of all processes, in the namespace's own tables. */
export const breakerRows = (tables: Database) => ({
  /** Those that are not closed. */
  async read(): Promise<BreakerRow[]> {
    return rows.parse(await tables.query({ name: 'read-breakers', text: READ }));
  },
  open: (name: string, openMs: number, reason: string, domain: string | undefined) =>
    tables.query({ name: 'open-breaker', text: OPEN, values: [name, openMs, reason.slice(0, 300), domain] }),
  close: (name: string) => tables.query({ name: 'close-breaker', text: CLOSE, values: [name] }),
  /** Whether this call is the one that finds out whether the provider works again. */
  async takeHalfOpen(name: string): Promise<boolean> {
    const values = [name, HALF_OPEN_MS];
    return (await tables.query({ name: 'take-half-open', text: TAKE_HALF_OPEN, values })).length > 0;
  },
  /** The call has found nothing out, so the next one may try at once. */
  leaveHalfOpen: (name: string) => tables.query({ name: 'leave-half-open', text: LEAVE_HALF_OPEN, values: [name] }),
});
