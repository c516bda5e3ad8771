import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { answer } from '../openapi.ts';
import { success } from '../schemas.ts';

const schema = {
  tags: ['server'],
  operationId: 'readAbout',
  summary: 'Read name and version of the server',
  response: {
    200: answer(
      'Name, version and the address of the documentation.',
      success(z.strictObject({ name: z.string(), version: z.string(), docs: z.url() })),
    ),
  },
};

export const rootRoutes =
  ({ version, publicUrl }: { version: string; publicUrl: string }): FastifyPluginCallbackZod =>
  (app, _options, done) => {
    const about = { status: 'success' as const, data: { name: 'OpenMusic', version, docs: `${publicUrl}/docs` } };
    app.get('/', { schema }, () => about);
    done();
  };
