import type { Database } from '../postgres/pool.ts';

/** A circuit breaker as an admin sees it. Times are ISO 8601. */
export interface BreakerView {
  /** `half-open`: one call is allowed, to find out whether the provider works again. */
  readonly state: 'closed' | 'open' | 'half-open';
  readonly openedAt?: string;
  readonly openUntil?: string;
  readonly reason?: string;
}

interface BreakerRow extends Record<string, unknown> {
  readonly name: string;
  readonly is_open: boolean;
  readonly open_until: Date;
  readonly opened_at: Date | null;
  readonly reason: string;
}

/** The breakers that are not closed, by kind and name of the provider, as in `mail:smtp`. `tables`: the namespace's own. */
export async function openBreakers(tables: Pick<Database, 'query'>): Promise<Map<string, BreakerView>> {
  const rows = await tables.query<BreakerRow>({
    name: 'breakers',
    text: `SELECT name, open_until > now() AS is_open, open_until, opened_at, reason
      FROM breakers WHERE open_until IS NOT NULL`,
  });
  return new Map(rows.map((row) => [row.name, viewOf(row)]));
}

const viewOf = ({ is_open, open_until, opened_at, reason }: BreakerRow): BreakerView => ({
  state: is_open ? 'open' : 'half-open',
  ...(opened_at && { openedAt: opened_at.toISOString() }),
  openUntil: open_until.toISOString(),
  reason,
});
