import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Database } from '../../postgres/pool.ts';
import { mustBeAdmin } from '../access.ts';
import { mustBeLoggedIn } from '../auth.ts';
import type { JobDependencies, JobParts } from './jobs/job-commands.ts';
import { answer, failures } from '../openapi.ts';
import { success } from '../schemas.ts';

const BREAKER_STATES = ['closed', 'open', 'half-open'] as const;

const providerView = z
  .strictObject({
    name: z.string(),
    kind: z.enum(['mail', 'files']),
    standard: z.boolean().meta({ description: 'Whether it is the one where a request names none.' }),
    breaker: z.strictObject({
      state: z
        .enum(BREAKER_STATES)
        .meta({ description: '`half-open`: one call may find out whether it is well again.' }),
      openedAt: z.iso.datetime().optional(),
      openUntil: z.iso.datetime().optional(),
      reason: z.string().optional(),
    }),
  })
  .meta({ id: 'Provider' });

type ProviderView = z.output<typeof providerView>;
type BreakerView = ProviderView['breaker'];

const schema = {
  tags: ['admin'],
  security: [{ bearer: [] }],
  operationId: 'listProviders',
  summary: 'See which providers are enabled, and which are left alone because they keep failing',
  response: {
    200: answer('The providers.', success(z.strictObject({ providers: z.array(providerView) }))),
    ...failures(401, 403, 503),
  },
};

export const providerRoutes =
  ({ jobs }: JobDependencies): FastifyPluginCallbackZod =>
  (app, _options, registered) => {
    app.addHook('onRequest', mustBeLoggedIn);
    app.addHook('preHandler', mustBeAdmin);

    app.get('/admin/providers', { schema }, async () => {
      const breakers = await breakersIn(jobs.tables);
      const providers = enabled(jobs).map((provider) => ({
        ...provider,
        breaker: breakers.get(`${provider.kind}:${provider.name}`) ?? CLOSED,
      }));
      return { status: 'success' as const, data: { providers } };
    });

    registered();
  };

const enabled = ({ mail, filesProvider }: JobParts): Omit<ProviderView, 'breaker'>[] => [
  ...mail.enabled.map((name) => ({ name, kind: 'mail' as const, standard: name === mail.default })),
  { name: filesProvider, kind: 'files', standard: true },
];

const CLOSED: BreakerView = { state: 'closed' };

interface BreakerRow extends Record<string, unknown> {
  readonly name: string;
  readonly is_open: boolean;
  readonly open_until: Date;
  readonly opened_at: Date | null;
  readonly reason: string;
}

/** Those that are not closed, by kind and name of the provider that each keeps work away from. */
async function breakersIn(tables: Database): Promise<Map<string, BreakerView>> {
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
