import { hadNoConnection, sqlState, wasConnected } from './pool.ts';

/** SQLSTATEs by which the server says that it is going, not yet there, or out of resources; and a cancelled query. */
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
/** pg's own errors of broken connections carry no code; other libraries have none of these words. */
const OUTAGE_MESSAGES =
  /^(?:Connection terminated|timeout exceeded when trying to connect|timeout expired|Query read timeout|Client has encountered a connection error|Client was closed|Cannot use a pool after calling end)/;

/** Whether the database did not answer, as against answering with an error of ours. */
export function isDatabaseOutage(error: unknown): boolean {
  const state = sqlState(error);
  return state === undefined ? isBroken(error) : OUTAGE_STATES.test(state);
}

/** Whether these are the words of a connection that broke, of whichever server. */
function isBroken(error: unknown): boolean {
  if (!Error.isError(error)) return false; // unlike `instanceof`, true also of what Node makes outside of a test's realm
  if ('errors' in error && Array.isArray(error.errors)) return error.errors.some(isBroken);
  return ('code' in error && OUTAGE_CODES.has(String(error.code))) || OUTAGE_MESSAGES.test(error.message);
}

const LOST_STATES = /^(?:08|57P)/;
const OWN_DEADLINE = 'Query read timeout';

/**
 * Whether the database ended a connection, or none was to be had. Narrower than an outage: a query that is ended for taking too long,
 * by the server or by us, or for which it has no room, may be to blame, and an error of the network may be of another server.
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
 * Whether a server is there that takes no connections for now: it says that it starts, stops or recovers from a crash, or it
 * breaks a connection that it has accepted, as it does while it recovers.
 */
export function isRecovering(error: unknown): boolean {
  const state = sqlState(error);
  return state === CANNOT_CONNECT_NOW || (state === undefined && Error.isError(error) && BROKEN.test(error.message));
}
