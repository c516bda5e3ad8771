import { hadNoConnection, sqlState, wasConnected } from './pool.ts';

/** SQLSTATEs of a server that stops, starts or is out of resources, and of a cancelled query. */
const OUTAGE_STATES = /^(?:08|53|57P|58)|^57014$/;
const OUTAGE_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
]);
/** pg's own errors of broken connections have no code. Other libraries do not use these messages. */
const OUTAGE_MESSAGES =
  /^(?:Connection terminated|timeout exceeded when trying to connect|timeout expired|Query read timeout|Client has encountered a connection error|Client was closed|Cannot use a pool after calling end)/;

/** Whether the database failed to answer, rather than answer with an error of ours. */
export function isDatabaseOutage(error: unknown): boolean {
  const state = sqlState(error);
  return state === undefined ? isBroken(error) : OUTAGE_STATES.test(state);
}

/** Whether the error is that of a broken connection, to any server. */
function isBroken(error: unknown): boolean {
  if (!Error.isError(error)) return false; // unlike `instanceof`, also true for errors that Node creates outside of a test's realm
  if ('errors' in error && Array.isArray(error.errors)) return error.errors.some(isBroken);
  return ('code' in error && OUTAGE_CODES.has(String(error.code))) || OUTAGE_MESSAGES.test(error.message);
}

const LOST_STATES = /^(?:08|57P)/;
const OWN_DEADLINE = 'Query read timeout';

/**
 * Whether the database closed a connection, or none was available. Narrower than an outage: a query that was cancelled for taking too
 * long, or for which the server lacks resources, may be the cause itself, and a network error may be that of another server.
 */
export function isConnectionLost(error: unknown): boolean {
  if (hadNoConnection(error)) return true;
  const state = sqlState(error);
  if (state !== undefined) return LOST_STATES.test(state);
  if (Error.isError(error) && error.message === OWN_DEADLINE) return false;
  return isBroken(error) && (wasConnected(error) || (Error.isError(error) && OUTAGE_MESSAGES.test(error.message)));
}

const CANNOT_CONNECT_NOW = '57P03';
const BROKEN = /ECONNRESET|^Connection terminated unexpectedly/;

/**
 * Whether a server runs that takes no connections at the moment: it says that it starts, stops or recovers from a crash, or it breaks a
 * connection that it has accepted, which it does during recovery.
 */
export function isRecovering(error: unknown): boolean {
  const state = sqlState(error);
  return state === CANNOT_CONNECT_NOW || (state === undefined && Error.isError(error) && BROKEN.test(error.message));
}
