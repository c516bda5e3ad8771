import { readFileSync } from 'node:fs';
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { JSON_TYPE } from '../../errors.ts';
import { asyncApiOf } from './async-api.ts';
import { eventCatalog } from './event-catalog.ts';
import { eventPage } from './event-page.ts';

interface EventDocsOptions {
  readonly version: string;
  readonly publicUrl: string;
  /** First part of the names of topics. */
  readonly namespace: string;
}

/** The page loads its style sheet and nothing else. */
const PAGE_POLICY = "default-src 'none';style-src 'self';base-uri 'none';form-action 'none';frame-ancestors 'none'";

/** The catalogue of events: as AsyncAPI for programs, and as a page. Like the API page they describe the API and are no part of it. */
export const eventDocRoutes =
  (options: EventDocsOptions): FastifyPluginCallbackZod =>
  (app, _options, registered) => {
    const events = eventCatalog();
    const [document, page] = [JSON.stringify(asyncApiOf(events, options)), eventPage(events, options)];
    const styles = readFileSync(new URL('events.css', import.meta.url), 'utf8');
    const schema = { hide: true };
    app.get('/asyncapi.json', { schema }, (_request, reply) => reply.header('content-type', JSON_TYPE).send(document));
    app.get('/docs/events', { schema }, (_request, reply) =>
      reply.type('text/html; charset=utf-8').header('content-security-policy', PAGE_POLICY).send(page),
    );
    app.get('/docs/events.css', { schema }, (_request, reply) => reply.type('text/css; charset=utf-8').send(styles));
    registered();
  };
