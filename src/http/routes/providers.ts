import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { type BreakerView, openBreakers } from '../../jobs/breaker-views.ts';
import { mustBeAdmin } from '../access.ts';
import { mustBeLoggedIn } from '../auth.ts';
import type { JobDependencies, JobRouteServices } from './jobs/job-commands.ts';
import { answer, failures } from '../openapi.ts';
import { success } from '../schemas.ts';

const BREAKER_STATES = ['closed', 'open', 'half-open'] as const;

const providerView = z
  .strictObject({
    name: z.string(),
    kind: z.enum(['mail', 'files']),
    standard: z.boolean().meta({ description: 'Whether it is used where a request names no provider.' }),
    breaker: z.strictObject({
      state: z
        .enum(BREAKER_STATES)
        .meta({ description: '`half-open`: one call is allowed, to find out whether the provider works again.' }),
      openedAt: z.iso.datetime().optional(),
      openUntil: z.iso.datetime().optional(),
      reason: z.string().optional(),
    }),
  })
  .meta({ id: 'Provider' });

type ProviderView = z.output<typeof providerView>;

const schema = {
  tags: ['admin'],
  security: [{ bearer: [] }],
  operationId: 'listProviders',
  summary: 'List the enabled providers and the state of their circuit breakers',
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
      const breakers = await openBreakers(jobs.tables);
      const providers = enabled(jobs).map((provider) => ({
        ...provider,
        breaker: breakers.get(`${provider.kind}:${provider.name}`) ?? CLOSED,
      }));
      return { status: 'success' as const, data: { providers } };
    });

    registered();
  };

const enabled = ({ mail, filesProvider }: JobRouteServices): Omit<ProviderView, 'breaker'>[] => [
  ...mail.enabled.map((name) => ({ name, kind: 'mail' as const, standard: name === mail.default })),
  { name: filesProvider, kind: 'files', standard: true },
];

const CLOSED: BreakerView = { state: 'closed' };
