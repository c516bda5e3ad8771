import { createServer, type Server } from 'node:http';
import type { FastifyServerFactoryHandler } from 'fastify';
import { closeStalled, oneAtATime } from './connections.ts';
import { allowHalfClosed, answerHalfClosed } from './half-closed.ts';
import { refuseTunnel } from './malformed.ts';

/** Ids are as long as they like, and live in the request line. */
const MAX_HEADER_BYTES = 64 * 1024;

/** Node's HTTP server with our limits. No client keeps a connection by sending or reading slowly, or for ever by doing nothing. */
export function nodeServer(handler: FastifyServerFactoryHandler): Server {
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: 10_000,
      requestTimeout: 30_000,
      connectionsCheckingInterval: 1_000,
      keepAliveTimeout: 75_000,
      // Node answers 400 without a body to a request without Host; ours has one.
      requireHostHeader: false,
    },
    oneAtATime(answerHalfClosed(handler)),
  );
  server.setTimeout(120_000);
  allowHalfClosed(server);
  // Node answers 417 without a body to an expectation it does not know; ours is to serve the request.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
  server.on('connect', refuseTunnel);
  closeStalled(server);
  return server;
}
