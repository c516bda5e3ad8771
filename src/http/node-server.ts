import { createServer, type Server } from 'node:http';
import type { FastifyServerFactoryHandler } from 'fastify';
import { closeStalled, oneAtATime } from './connections.ts';
import { allowHalfClosed, answerHalfClosed } from './half-closed.ts';
import { refuseTunnel } from './malformed.ts';

/** Ids are part of the request line and have no length limit of their own. */
const MAX_HEADER_BYTES = 64 * 1024;

/** Creates Node's HTTP server with our limits. A client cannot hold a connection by sending or reading slowly, or by being idle for ever. */
export function nodeServer(handler: FastifyServerFactoryHandler): Server {
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: 10_000,
      requestTimeout: 30_000,
      connectionsCheckingInterval: 1_000,
      keepAliveTimeout: 75_000,
      // Node would answer 400 without a body; our own check sends a body.
      requireHostHeader: false,
    },
    oneAtATime(answerHalfClosed(handler)),
  );
  server.setTimeout(120_000);
  allowHalfClosed(server);
  // Node would answer 417 to an unknown expectation; we serve the request instead.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
  server.on('connect', refuseTunnel);
  closeStalled(server);
  return server;
}
