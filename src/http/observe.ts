import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { Histogram, type Registry } from 'prom-client';
import { loggedUrl } from './errors.ts';

export const EVENT_STREAM = 'text/event-stream';

const SLOW_MS = 1_000;

/**
 * Measures every request, and logs only the slow ones: a line for each request would cost more than most requests. Event streams
 * are left out, because they last as long as the client stays connected.
 */
export function observe(app: FastifyInstance, registry: Registry, logger: Logger): void {
  const seconds = new Histogram({
    name: 'openmusic_http_request_seconds',
    help: 'Time from the request line to the end of the answer, by method, route and status.',
    labelNames: ['method', 'route', 'status'] as const,
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers: [registry],
  });
  app.addHook('onResponse', (request, reply, done) => {
    const { elapsedTime: ms, statusCode: status } = reply;
    if (reply.getHeader('content-type') === EVENT_STREAM) {
      done();
      return;
    }
    const route = request.is404 ? 'none' : (request.routeOptions.url ?? 'none');
    seconds.observe({ method: request.method, route, status }, ms / 1_000);
    if (ms >= SLOW_MS) {
      logger.info(
        { requestId: request.id, method: request.method, url: loggedUrl(request.url), status, ms: Math.round(ms) },
        'slow',
      );
    }
    done();
  });
}
