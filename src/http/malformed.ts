import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { newId } from '../events/ids.ts';
import { endAfter, endConnection } from './connections.ts';
import { errorBody, JSON_TYPE, type Problem } from './errors.ts';

const MALFORMED: Problem = { status: 400, code: 'MALFORMED_REQUEST', message: 'This is not a valid HTTP request.' };

const BY_CODE: Readonly<Record<string, Problem>> = {
  HPE_HEADER_OVERFLOW: {
    status: 431,
    code: 'HEADERS_TOO_LARGE',
    message: 'The request line and headers are too long.',
  },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: { status: 413, code: 'BODY_TOO_LARGE', message: 'The chunk extensions are too long.' },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, code: 'REQUEST_TIMEOUT', message: 'The request did not arrive in time.' },
};

/**
 * Answers requests that Node's parser refuses and Fastify never gets, in the usual format. The malformed request is not carried
 * out; a request that is being handled gets its own answer first.
 */
export function answerMalformed(error: Error & { code?: string }, socket: Duplex): void {
  if (error.code !== 'ECONNRESET' && socket.writable) refuse(socket, BY_CODE[error.code ?? ''] ?? MALFORMED);
}

function refuse(socket: Duplex, problem: Problem): void {
  const answer = rawAnswer(problem);
  const response = responseOn(socket);
  if (response?.req.complete) endAfter(response, socket, answer);
  // Part of its answer has been sent already: more bytes would be read as its body.
  else if (response?.headersSent) socket.destroy();
  else endConnection(socket, answer);
}

/** The response to the request that is being handled or received. */
const responseOn = (socket: Duplex): ServerResponse | null | undefined =>
  '_httpMessage' in socket ? (socket._httpMessage as ServerResponse | null) : undefined;

function rawAnswer(problem: Problem): string {
  const requestId = newId();
  const body = JSON.stringify(errorBody(problem, requestId));
  return [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ''}`,
    `Content-Type: ${JSON_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-Id: ${requestId}`,
    'Connection: close',
    '',
    body,
  ].join('\r\n');
}

/** Refuses CONNECT: the server is no proxy. */
export const refuseTunnel = (_request: unknown, socket: Duplex) => refuse(socket, MALFORMED);
