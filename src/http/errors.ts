import { STATUS_CODES } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { AppError, reasonOf, type ErrorKind } from '../errors.ts';
import { isDatabaseOutage } from '../postgres/outage.ts';
import { prefersProblemDetails } from './accept.ts';
import { pathOf } from './request-target.ts';

/** One fault of the input. `path` is a JSON pointer. */
export interface InputError {
  readonly path: string;
  readonly message: string;
}

/** An error answer. */
export interface Problem {
  readonly status: number;
  /** Stable, upper snake case, documented in docs/reference/errors.md. */
  readonly code: string;
  readonly message: string;
  readonly errors?: InputError[];
  readonly headers?: Readonly<Record<string, string>>;
}

/** An error that exists only in HTTP: a method, a media type, a body that cannot be read. */
export class HttpError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.message);
    this.name = 'HttpError';
    this.problem = problem;
  }
}

export const badInput = (code: string, message: string, errors: InputError[] = [{ path: '', message }]) =>
  new HttpError({ status: 400, code, message, errors });

export const routeNotFound = () =>
  new HttpError({ status: 404, code: 'ROUTE_NOT_FOUND', message: 'There is nothing at this address.' });

export const methodNotAllowed = (method: string, allow: string) =>
  new HttpError({
    status: 405,
    code: 'METHOD_NOT_ALLOWED',
    message: `${method} is not allowed here, only ${allow}.`,
    headers: { allow },
  });

export const unsupportedMediaType = () =>
  new HttpError({ status: 415, code: 'UNSUPPORTED_MEDIA_TYPE', message: 'The body must be application/json.' });

export const unsupportedEncoding = () =>
  new HttpError({
    status: 415,
    code: 'UNSUPPORTED_ENCODING',
    message: 'The body must not be compressed: send it without Content-Encoding, or with identity.',
    headers: { 'accept-encoding': 'identity' },
  });

export const bodyTooLarge = () =>
  new HttpError({ status: 413, code: 'BODY_TOO_LARGE', message: 'The body is larger than this server accepts.' });

const STATUS: Readonly<Record<ErrorKind, number>> = {
  rejected: 400,
  'not-found': 404,
  forbidden: 403,
  conflict: 409,
  stale: 412,
  reused: 422,
  'too-large': 413,
  'too-many': 429,
  unavailable: 503,
};

const internal: Problem = { status: 500, code: 'INTERNAL_ERROR', message: 'Something went wrong on our side.' };

const databaseUnavailable: Problem = {
  status: 503,
  code: 'DATABASE_UNAVAILABLE',
  message: 'The database cannot be reached at the moment. Please try again.',
  headers: { 'retry-after': '1' },
};

const BAD_REQUEST = { code: 'BAD_REQUEST', message: 'This request cannot be understood.' };

/** Errors of Fastify itself, before a handler runs. Its other 4xx are BAD_REQUEST. */
const FRAMEWORK: Readonly<Record<string, () => HttpError>> = {
  FST_ERR_BAD_URL: routeNotFound,
  FST_ERR_MAX_PARAM_LENGTH: routeNotFound,
  FST_ERR_CTP_INVALID_MEDIA_TYPE: unsupportedMediaType,
  FST_ERR_CTP_BODY_TOO_LARGE: bodyTooLarge,
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: () =>
    badInput('INCOMPLETE_BODY', 'The body is not as long as its Content-Length says.'),
};

/** Errors of Fastify's plugins that serve the files of the API page: not found, conditions, ranges. */
const FRAMEWORK_STATUS: Readonly<Record<number, Omit<Problem, 'status'>>> = {
  403: routeNotFound().problem,
  404: routeNotFound().problem,
  412: { code: 'PRECONDITION_FAILED', message: 'The condition of this request does not hold.' },
  416: { code: 'RANGE_NOT_SATISFIABLE', message: 'The file has no such part.' },
};

/** Maps errors to answers; the only place where kinds of errors become statuses. */
function problemOf(error: unknown): Problem {
  if (error instanceof HttpError) return error.problem;
  if (error instanceof AppError) return problemOfDomain(error);
  if (isDatabaseOutage(error)) return databaseUnavailable;
  return error instanceof Error ? problemOfFramework(error) : internal;
}

function problemOfDomain({
  kind,
  code,
  message,
  retryAfter = kind === 'unavailable' ? 1 : undefined,
}: AppError): Problem {
  const headers = retryAfter === undefined ? undefined : { 'retry-after': String(retryAfter) };
  return { status: STATUS[kind], code, message, headers };
}

function problemOfFramework(error: Error & { code?: unknown; statusCode?: unknown }): Problem {
  const known = typeof error.code === 'string' ? FRAMEWORK[error.code] : undefined;
  if (known) return known().problem;
  const { statusCode: status } = error;
  if (typeof status !== 'number' || status < 400 || status > 499) return internal;
  return { status, ...(FRAMEWORK_STATUS[status] ?? BAD_REQUEST) };
}

/** The body of an error answer in the format of V3. */
export const errorBody = ({ status, code, message, errors }: Problem, requestId: string) => ({
  status: status < 500 ? ('fail' as const) : ('error' as const),
  message,
  code,
  requestId,
  errors,
});

/** The body of an error answer as RFC 9457 problem details. */
const problemDetails = ({ status, code, message, errors }: Problem, requestId: string) => ({
  type: 'about:blank',
  title: STATUS_CODES[status],
  status,
  detail: message,
  code,
  requestId,
  errors,
});

type SendProblem = (request: FastifyRequest, reply: FastifyReply, problem: Problem) => void;

/** Fastify's error handler: sends the client the public part of an error, in the format of this API or of `send`, and logs the rest. */
export function answerErrors(logger: Logger, send: SendProblem = sendProblem) {
  return (error: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    const left = hasLeft(request);
    const problem = left ? clientGone : problemOf(error);
    if (left) reportLeft(logger, request);
    else if (problem.status >= 500) report(logger, error, problem, request);
    // Fastify closes the connection after an unread body; Node reads such a body to its end without keeping it.
    // A close while the client still sends would reset the connection and take the answer with it.
    reply.removeHeader('connection');
    send(request, reply, problem);
  };
}

/** Whether the connection broke before the whole request had arrived. The error itself does not say which connection it was. */
const hasLeft = ({ raw }: FastifyRequest): boolean => Boolean(raw.errored) && !raw.complete;

/** For the log and the metrics only, as the client is gone. */
const clientGone: Problem = { status: 400, code: 'CLIENT_LEFT', message: 'The client left while it was sending.' };

function reportLeft(logger: Logger, { id, method, url }: FastifyRequest): void {
  const line = { requestId: id, method, url: loggedUrl(url), code: clientGone.code };
  logger.info(line, 'a client disconnected while it was sending its request');
}

function report(logger: Logger, error: unknown, { status, code }: Problem, { id, method, url }: FastifyRequest): void {
  const line = { requestId: id, method, url: loggedUrl(url), status, code };
  if (status === 500) logger.error({ ...line, err: error }, 'a request failed');
  else logger.warn({ ...line, reason: reasonOf(error), cause: causeOf(error) }, 'a request could not be served');
}

/** The URL without its query, which can hold the signature of a link: a reader of the log must not be able to download the file. */
export const loggedUrl = pathOf;

/** The cause, which only the log gets: that the disk is full, for example. */
const causeOf = (error: unknown): string | undefined =>
  error instanceof Error && error.cause !== undefined ? reasonOf(error.cause) : undefined;

function sendProblem(request: FastifyRequest, reply: FastifyReply, problem: Problem): void {
  const details = prefersProblemDetails(request.headers.accept);
  const body = details ? problemDetails(problem, request.id) : errorBody(problem, request.id);
  void reply
    .code(problem.status)
    .headers({ 'x-request-id': request.id, ...problem.headers })
    .header('content-type', details ? 'application/problem+json' : JSON_TYPE)
    .send(JSON.stringify(body));
}

export const JSON_TYPE = 'application/json; charset=utf-8';
